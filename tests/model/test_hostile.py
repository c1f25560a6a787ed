"""Damaged and crafted model folders: our error or a model that works, in no time, and nothing in them is executed.

The cases run in a process of their own, this file run as a program: what hangs or dies there is found here.
"""

import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import qkv
from model.mutations import WEIGHTS, Files, mutated
from qkv.base import seeds
from qkv.base.errors import QkvError
from qkv.model import Viewer, Writer

LIMIT, MEMORY, CASES, FEW = 2.0, 12 << 30, 2_500, 240
KINDS = ("config", "weights")
FORBIDDEN = ("os.", "subprocess.", "pickle.", "socket.", "ctypes.", "shutil.", "exec", "compile", "import")
REPO = Path(__file__).parents[2]
TEXTS = ["the small cat sees a bird", "an old house"]
PICTURE = np.arange(40 * 36 * 3, dtype=np.uint8).reshape(40, 36, 3)


def use(folder: Path) -> list[float]:
    """Load a model, let it do what it can, and return all numbers."""
    model: Any = qkv.load(folder)
    head = getattr(model.net.cfg, "head", None)
    inputs: Any = [PICTURE] if isinstance(model, Viewer) else TEXTS
    said = model.embed(inputs).flatten().tolist()
    if isinstance(model, Writer) and head == "lm":
        said += [one.score for one in model.generate(inputs, n_tokens=2)]
    elif head == "classify":
        said += [label.probability for one in model.predict(inputs) for label in one]
    elif head in ("mlm", "pretraining"):
        said += [guess.probability for guess in model.fill(f"the [MASK] {TEXTS[0]}")[0]]
    return said


def write(place: Path, files: Files) -> Path:
    place.mkdir(exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for name, data in files.items():
        (place / name).write_bytes(data)
    return place


def read(folder: Path) -> dict[str, Files]:
    return {path.name: {file.name: file.read_bytes() for file in path.iterdir()} for path in sorted(folder.iterdir())}


def are_tame(files: Files) -> bool:
    """Tell whether all weights are numbers that a net could have been trained to."""
    try:
        tensors = torch.cat([x.double().flatten() for x in _loaded(files[WEIGHTS])])
    except RuntimeError:
        return False
    return bool(tensors.isfinite().all()) and float(tensors.abs().max()) < 100


def _loaded(data: bytes) -> list[torch.Tensor]:
    from safetensors.torch import load

    return list(load(data).values())


def run(folder: Path, kind: str, last: int) -> None:
    """Use every damaged model in turn, and print what came of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    models, place, watched = read(folder), folder.parent / f"case {kind}", False

    def watch(event: str, arguments: tuple) -> None:
        if watched and (event.startswith(FORBIDDEN) or (event == "open" and arguments[1] not in ("r", "rb", None))):
            print(json.dumps({"executed": [event, str(arguments)[:200]]}), flush=True)

    sys.addaudithook(watch)
    whole = {name: use(write(place, files)) for name, files in models.items()}
    for case in range(last):
        name = sorted(models)[case % len(models)]
        files = mutated(models[name], kind, seeds.draw(f"hostile {kind}", case))
        write(place, files)
        told: dict[str, Any] = {"case": case, "model": name}
        print(json.dumps({"begun": case}), flush=True)
        start, watched = time.process_time(), True
        try:
            said = use(place)
            told["finite"] = all(map(math.isfinite, said)) or said == whole[name] or not are_tame(files)
        except QkvError as error:
            told["error"] = str(error)
        except BaseException as error:
            told["other"] = f"{type(error).__name__}: {error}"[:2000]
        watched = False
        print(json.dumps(told | {"seconds": time.process_time() - start}), flush=True)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "models"
    folder.mkdir()
    from model.public_folders import MODELS

    for name, make in MODELS.items():
        make(folder / name)
    return folder


def check(models: Path, kind: str, cases: int) -> None:
    command = [sys.executable, __file__, str(models), kind, str(cases)]
    path = os.pathsep.join(filter(None, ("tests", "src", os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO, env=environment)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, (told[-1:], done.stderr[-2000:])
    assert [line for line in told if "executed" in line or "other" in line or not line.get("finite", True)] == []
    tried = [line for line in told if "case" in line]
    assert [line["case"] for line in tried] == [*range(cases)]
    assert [line for line in tried if line["seconds"] > LIMIT] == []
    refused = [line["error"] for line in tried if "error" in line]
    assert cases / 4 < len(refused) < cases * 9 / 10
    assert [error for error in refused if len(error) > 1000 or error.count("\n") > 4] == []


@pytest.mark.parametrize("kind", KINDS)
def test_damage_gives_our_error_or_a_model_that_works(kind, models):
    check(models, kind, FEW)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damages_give_our_error_or_a_model_that_works(kind, models):
    check(models, kind, CASES)


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
