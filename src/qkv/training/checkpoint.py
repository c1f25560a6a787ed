"""Checkpoints that a crash cannot take: published whole, verified when read, never fewer than two sound ones.

A checkpoint is a folder RUN/checkpoints/step-00000120 with one safetensors file per group of tensors ("net",
"optimiser", "ema" ...), state.json for all else, and the manifest of `qkv.base.files`. Nothing is pickled.
"""

import json
import math
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from qkv.base import files
from qkv.base.errors import ConfigError, QkvError, UnsupportedError, WeightsError

FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})")


@dataclass(slots=True)
class TrainingState:
    """All that the next step depends on: tensors by group and name, and facts that JSON can hold exactly."""

    step: int
    tensors: dict[str, dict[str, Tensor]]
    facts: dict[str, Any] = field(default_factory=dict)


def save(run: Path, state: TrainingState, *, keep: int = 2, stopped: bool = False) -> Path:
    """Write a checkpoint of a run and prune the oldest; return its folder.

    Of the checkpoints, `keep` (at least 2) that verify stay. `stopped` is said in the manifest: a signal ended the run.
    Killed at any instant, or without space (QkvError), the newest checkpoint is this one or the one before, whole.
    """
    if keep < 2:
        raise ConfigError(f"keep is {keep}; at least 2 checkpoints are kept, in case one is damaged.")
    folder = run / "checkpoints" / f"step-{state.step:08d}"
    extra = {"format": FORMAT, "step": state.step, "stopped": stopped, "made_with": surroundings()}
    files.make_folder(folder.parent)
    files.sweep(folder.parent)
    with files.publish(folder, extra=extra, replace=True) as draft:
        twins = {}
        for group, tensors in state.tensors.items():
            twins[group] = _write_tensors(draft / f"{group}.safetensors", tensors)
        files.write_json(draft / "state.json", {"step": state.step, "twins": twins, "facts": _plain(state.facts)})
    _prune(folder.parent, state.step, keep)
    return folder


def load_newest(run: Path) -> tuple[TrainingState | None, list[str]]:
    """Return the newest checkpoint that verifies, or None where none was written, and what to tell the user.

    Damaged ones are passed over, each with a sentence; if all are damaged: WeightsError. Only the process that will
    go on with the run may call this: it clears away what a killed one left.
    """
    files.sweep(run / "checkpoints")
    found, notes = _steps(run / "checkpoints"), []
    for step in sorted(found, reverse=True):
        try:
            extra = files.verify(found[step])
            return _read(found[step], step, extra), notes + _changes(extra)
        except (WeightsError, OSError) as error:
            notes.append(f"Checkpoint passed over: {error}")
    if found:
        raise WeightsError(f"No checkpoint in {run} is sound; start the run anew. {' '.join(notes[:3])}")
    return None, notes


def pack_optimiser(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], Any]:
    """Take an optimiser's state apart: its tensors by flat names, and all else as JSON that keeps every bit."""
    tensors: dict[str, Tensor] = {}
    return tensors, _pack(optimiser.state_dict(), "", tensors)


def unpack_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], facts: Any) -> None:
    """Give an optimiser the state that `pack_optimiser` took; WeightsError if it then does not hold these very bits."""
    try:
        optimiser.load_state_dict(_unpack(facts, {name: tensor.clone() for name, tensor in tensors.items()}))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"The saved optimiser is not of this net or of this kind: {error}.") from error
    again, kept = pack_optimiser(optimiser)
    if kept != facts or not all(_same_bits(again[name], tensors[name]) for name in tensors):
        raise WeightsError("The optimiser does not hold its saved state exactly; resume with the dtype it was made in.")


def surroundings() -> dict[str, str | int]:
    """Return what must be equal for a resumed run to be promised equal bits."""
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return {
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "world_size": torch.distributed.get_world_size() if distributed else 1,
    }


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Write tensors once each; return the names that are second names of one (tied weights), with its first."""
    first: dict[tuple, str] = {}
    twins: dict[str, str] = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()) if tensor.numel() else (name,)
        if first.setdefault(place, name) != name:
            twins[name] = first[place]
    try:
        save_file({name: _whole(tensors[name]) for name in first.values()}, path)
    except SafetensorError as error:
        raise QkvError(f"{path} could not be written: {error}. What was whole before is whole still.") from error
    return twins


def _whole(tensor: Tensor) -> Tensor:
    """Return the tensor itself; a copy only if it is a part of a storage, or not in its order."""
    tensor = tensor.detach()
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def _read(folder: Path, step: int, extra: Mapping[str, object]) -> TrainingState:
    """Read a verified checkpoint into memory of its own, not into pages of the file, which will be pruned."""
    if extra.get("format") != FORMAT or extra.get("step") != step:
        raise WeightsError(
            f"{folder} says format {extra.get('format')}, step {extra.get('step')}: not format {FORMAT}, step {step}."
        )
    tensors = {}
    try:
        content = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.safetensors")):
            loaded = {name: tensor.clone() for name, tensor in load_file(path).items()}
            tensors[path.stem] = loaded | {twin: loaded[name] for twin, name in content["twins"][path.stem].items()}
        return TrainingState(step=step, tensors=tensors, facts=content["facts"])
    except (ValueError, TypeError, KeyError, AttributeError, SafetensorError) as error:
        raise WeightsError(f"{folder} is whole, but no checkpoint that this version reads: {error!r:.200}.") from error


def _steps(folder: Path) -> dict[int, Path]:
    matches = [(_NAME.fullmatch(path.name), path) for path in (folder.iterdir() if folder.is_dir() else ())]
    return {int(match[1]): path for match, path in matches if match}


def _prune(folder: Path, newest: int, keep: int) -> None:
    """Remove what is older than the `keep` newest sound checkpoints; the one just written was hashed just now."""
    found, sound = _steps(folder), 1
    for step in sorted((step for step in found if step < newest), reverse=True):
        if sound >= keep:
            files.remove(found[step])
            continue
        try:
            files.verify(found[step])
            sound += 1
        except WeightsError:  # it stays, as evidence, until `keep` newer ones are sound; resume tells of it
            continue


def _changes(extra: Mapping[str, Any]) -> list[str]:
    """Say what is not as it was when a checkpoint was written, in one sentence."""
    now, then = surroundings(), extra["made_with"]
    changed = [f"{key} {then.get(key)} -> {now[key]}" for key in now if then.get(key) != now[key]]
    return [f"The run goes on, but not bit for bit as it would have: {', '.join(changed)}."] if changed else []


def _same_bits(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are equal to the bit: NaNs, signs of zero, dtype and shape."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    raw = [tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)]
    return torch.equal(*raw)


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts that JSON gives back as they are; UnsupportedError for others, which would change in silence."""
    try:
        kept = json.loads(json.dumps(facts, allow_nan=False)) == facts
    except (TypeError, ValueError):
        kept = False
    if not kept:
        raise UnsupportedError(
            "The facts of a training state hold something that JSON would change (a tuple, a key that is no string, "
            "NaN, infinity, an object); pass lists, string keys and finite numbers."
        )
    return facts


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Return `value` as JSON: tensors are put aside by name; dicts, tuples and NaN are spelled out."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[key, _pack(inner, f"{name}.{key}".lstrip("."), tensors)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        inner = [_pack(one, f"{name}.{i}".lstrip("."), tensors) for i, one in enumerate(value)]
        return {"tuple": inner} if isinstance(value, tuple) else inner
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(float(value))}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UnsupportedError(f"The optimiser's {name} is a {type(value).__name__}, which a checkpoint cannot hold.")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {key: _unpack(one, tensors) for key, one in inner}
    return tuple(_unpack(one, tensors) for one in inner) if kind == "tuple" else float(inner)
