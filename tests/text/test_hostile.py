"""Damaged and crafted tokenizer files: our error or the reference's ids, in no time, and nothing in them is executed.

The cases run in a process of their own, this file run as a program: what hangs or dies there is found here.
"""

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from transformers import AutoTokenizer

from qkv.base import seeds
from qkv.base.errors import QkvError
from qkv.text.public import TextTokenizer
from text.public_layouts import lay_out

LAYOUTS = ("bert-odd", "gpt2-odd", "roberta-odd", "gpt1", "camembert", "deberta-odd", "llama2", "llama3")
LAYOUTS += tuple(f"{name}.json" for name in ("bert", "gpt2", "xlm-roberta", "deberta", "llama2"))
TEXTS = ["", "The answer is 42 [MASK]<mask> .", "  élan ﬁ 漢字 😀\n\u0301 ", "don't </s><s> ##ing"]
LIMIT, MEMORY, CASES, FEW = 2.0, 8 << 30, 2_500, 300
REPO = Path(__file__).parents[2]
Layouts = dict[str, dict[str, bytes]]
ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    7,
    2**31,
    2**64,
    1e308,
    0.5,
    "",
    "a",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [[]],
    {"type": "Nope"},
]
ODD += ["Sequence", "Precompiled", "[CLS]", ["a", "b"], "posix.system", "../../etc/passwd", {"__type": "AddedToken"}]
FORBIDDEN = ("os.", "subprocess.", "pickle.", "socket.", "ctypes.", "shutil.", "exec", "compile", "import")


def mutate_bytes(data: bytes, draw: Random) -> bytes:
    """Flip, cut, repeat, move or insert bytes."""
    at, size = draw.randrange(len(data)), draw.choice((1, 1, 4, 40, 2000))
    part = data[at : at + size]
    kind = draw.randrange(6)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[at + size :]
    if kind == 2:
        return data[:at] + part * draw.choice((2, 3, 50)) + data[at + size :]
    if kind == 3:
        return data[:at]
    if kind == 4:
        return data[:at] + draw.randbytes(draw.randrange(1, 9)) + data[at:]
    other = draw.randrange(len(data))
    return data[:other] + part + data[other:]


def mutate_json(data: bytes, draw: Random) -> bytes:
    """Put something odd in the place of some value, or under a new or another name, or take it away."""
    value = json.loads(data)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any, depth: int) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        for key in keys if len(keys) < 60 else draw.sample(list(keys), 3):
            places.append((node, key))
            walk(node[key], depth + 1)

    walk(value, 0)
    for _ in range(draw.choice((1, 1, 2))):
        node, key = draw.choice(places)
        kind = draw.randrange(4)
        if kind == 0 and key in (node if isinstance(node, dict) else range(len(node))):
            del node[key]
        elif kind == 1 and isinstance(node, dict):
            node[draw.choice(("x", "type", "unk_token", "mask_token", "stride"))] = draw.choice(ODD)
        elif isinstance(node, dict) or key < len(node):
            node[key] = draw.choice(ODD)
    return json.dumps(value).encode()


def mutated(files: dict[str, bytes], draw: Random) -> dict[str, bytes]:
    """Change one file of a tokenizer, or take one away."""
    name = draw.choice(sorted(files))
    if (
        draw.randrange(25) == 0 and "config" not in name
    ):  # without its settings it is another tokenizer, not a damaged one
        return {other: data for other, data in files.items() if other != name}
    change: Callable[[bytes, Random], bytes] = mutate_bytes
    if name.endswith(".json") and draw.randrange(3):
        change = mutate_json
    return files | {name: change(files[name], draw)}


def case_of(layouts: Layouts, case: int) -> tuple[str, dict[str, bytes]]:
    """Return a damaged tokenizer by its number, and which it was."""
    name = sorted(layouts)[case % len(layouts)]
    return name, mutated(layouts[name], seeds.draw("hostile", case))


def write(place: Path, files: dict[str, bytes]) -> Path:
    place.mkdir(exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for name, data in files.items():
        (place / name).write_bytes(data)
    return place


def use(place: Path) -> list[list[int]]:
    """Load a tokenizer, use all of it, and return ids."""
    tokenizer = TextTokenizer.load(place)
    ids = [tokenizer.encode(text).ids for text in TEXTS] + [tokenizer.encode(TEXTS[1], TEXTS[2]).ids]
    for text in TEXTS:
        tokenizer.split(text, max_len=10, stride=2)
    for one in ids:
        tokenizer.pieces(one)
        tokenizer.decode(one)
    return ids


def run(folder: Path, last: int) -> None:
    """Use every damaged tokenizer in turn, and print a line before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    layouts, place, watched = read(folder), folder.parent / "case", False

    def watch(event: str, arguments: tuple) -> None:
        if watched and (event.startswith(FORBIDDEN) or (event == "open" and arguments[1] not in ("r", "rb"))):
            print(json.dumps({"executed": [event, str(arguments)[:200]]}), flush=True)

    sys.addaudithook(watch)
    for name in layouts:
        use(write(place, layouts[name]))  # what is imported late is imported now
    for case in range(last):
        write(place, case_of(layouts, case)[1])
        print(json.dumps({"begun": case}), flush=True)
        told: dict[str, Any] = {"case": case}
        start, watched = time.perf_counter(), True
        try:
            told["ids"] = use(place)
        except QkvError as error:
            told["error"] = str(error)
        except BaseException as error:
            told["other"] = f"{type(error).__name__}: {error}"
        watched = False
        print(json.dumps(told | {"seconds": time.perf_counter() - start}), flush=True)


def read(folder: Path) -> Layouts:
    return {path.name: {file.name: file.read_bytes() for file in path.iterdir()} for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def layouts(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "layouts"
    for name in LAYOUTS:
        source = lay_out(tmp_path_factory.mktemp("whole") / name, name)
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("json"))
    return folder


@pytest.fixture(scope="module")
def told(layouts) -> list[dict[str, Any]]:
    """Run the cases in a process of their own; what it says of each."""
    command = [sys.executable, __file__, str(layouts), str(CASES)]
    path = os.pathsep.join(filter(None, ("tests", "src", os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, cwd=REPO, env=os.environ | {"PYTHONPATH": path}
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, (lines[-1], done.stderr[-2000:])
    return lines


def test_nothing_but_our_errors_comes_out_and_nothing_is_executed(told):
    assert [line for line in told if "executed" in line or "other" in line] == []
    cases = [line for line in told if "case" in line]
    assert [line["case"] for line in cases] == [*range(CASES)]
    refused = [line["error"] for line in cases if "error" in line]
    assert CASES / 4 < len(refused) < CASES * 3 / 4
    assert [error for error in refused if len(error) > 700 or "\n" in error] == []


def test_no_case_takes_long(told):
    slow = [line for line in told if line.get("seconds", 0) > LIMIT]
    assert slow == []


@pytest.fixture(autouse=True)
def _silent_reference() -> Iterator[None]:
    """Keep what transformers logs out of reports: damaged texts hold halves of characters, which no report can."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def reference(place: Path) -> list[list[int]] | None:
    """Return what transformers reads; None where it refuses, by an error of whatever kind."""
    try:
        theirs = AutoTokenizer.from_pretrained(place)
        return [*theirs(TEXTS)["input_ids"], *theirs([TEXTS[1]], [TEXTS[2]])["input_ids"]]
    except KeyboardInterrupt:
        raise
    except BaseException:
        return None


def compare(layouts: Path, told: list[dict[str, Any]], cases: range, place: Path) -> None:
    """What is read in spite of the damage is what the reference reads, or what was there before."""
    whole = {name: use(layouts / name) for name in LAYOUTS}
    known = read(layouts)
    n_read, different = 0, []
    for line in told:
        if line.get("case") in cases and "ids" in line:
            name, files = case_of(known, line["case"])
            theirs = reference(write(place, files))
            n_read += theirs is not None
            if line["ids"] not in (theirs, whole[name]):
                different.append((line["case"], name))
    assert different == [], different
    assert n_read > len(cases) / 5


def test_what_is_read_all_the_same_is_what_the_reference_reads(layouts, told, tmp_path):
    compare(layouts, told, range(FEW), tmp_path / "case")


@pytest.mark.slow
def test_what_is_read_all_the_same_is_always_what_the_reference_reads(layouts, told, tmp_path):
    compare(layouts, told, range(CASES), tmp_path / "case")


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
