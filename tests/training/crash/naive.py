"""The control of the crash tests: checkpoints as they are often written, straight into their place."""

import json
import os
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from qkv.base import files
from qkv.training.checkpoint import TrainingState
from training.crash.standin import train


def save(run: Path, state: TrainingState, *, keep: int = 2) -> Path:
    """Write into the final folder, then remove all but `keep`."""
    folder = run / "checkpoints" / f"step-{state.step:08d}"
    folder.mkdir(parents=True, exist_ok=True)
    for group, tensors in state.tensors.items():
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / f"{group}.safetensors")
    handle = files.disk.open(folder / "state.json", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    files.disk.write(handle, json.dumps({"step": state.step, "facts": state.facts}).encode())
    files.disk.close(handle)
    for old in sorted(folder.parent.iterdir())[:-keep]:
        shutil.rmtree(old)
    return folder


def load_newest(run: Path) -> tuple[TrainingState | None, list[str]]:
    """Read the newest folder."""
    folders = sorted((run / "checkpoints").glob("step-*"))
    if not folders:
        return None, []
    content = json.loads((folders[-1] / "state.json").read_text())
    tensors = {path.stem: load_file(path) for path in sorted(folders[-1].glob("*.safetensors"))}
    return TrainingState(content["step"], tensors, content["facts"]), []


def train_naively(run: Path, steps: int) -> None:
    """Train as the stand-in does, with this writer."""
    train(run, steps, sys.modules[__name__])
