"""Flipped bits, cut files, whatever a disk does to a checkpoint: it is found, and the one before is used."""

import random
import shutil
from pathlib import Path

import pytest

from qkv.base import files
from qkv.training.checkpoint import load_newest, save
from training.crash.states import equal, make_state


def mutate(folder: Path, seed: int) -> str:
    """Damage one file of a folder in one of eight ways; return how."""
    drawn = random.Random(seed)
    path = drawn.choice(sorted(folder.iterdir()))
    raw = path.read_bytes()
    place = drawn.randrange(len(raw))
    kind = drawn.choice(["bit", "byte", "cut", "longer", "zeros", "swap", "gone", "added"])
    if kind == "bit":
        raw = raw[:place] + bytes([raw[place] ^ 1 << drawn.randrange(8)]) + raw[place + 1 :]
    elif kind == "byte":
        raw = raw[:place] + bytes([(raw[place] + drawn.randrange(1, 256)) % 256]) + raw[place + 1 :]
    elif kind == "cut":
        raw = raw[:place]
    elif kind == "longer":
        raw += bytes(drawn.randrange(1, 9))
    elif kind == "zeros":
        raw = raw[:place] + (b"\0" if raw[place] else b"\1") + bytes(len(raw) - place - 1)
    elif kind == "swap":
        other = next(i for i in range(len(raw)) if raw[i] != raw[place])
        a, b = sorted((place, other))
        raw = raw[:a] + raw[b : b + 1] + raw[a + 1 : b] + raw[a : a + 1] + raw[b + 1 :]
    if kind == "gone":
        path.unlink()
    elif kind == "added":
        (folder / "more.safetensors").write_bytes(raw)
    else:
        assert raw != path.read_bytes()
        path.write_bytes(raw)
    return f"{kind} in {path.name}"


def undetected(root: Path, seeds: range) -> list[str]:
    """Damage the newest of two checkpoints in many ways; list those after which it, or nothing, is loaded."""
    old, new = make_state(1), make_state(2)
    for state in (old, new):
        save(root / "run", state)
    newest = root / "run" / "checkpoints" / "step-00000002"
    shutil.copytree(newest, root / "whole")
    missed = []
    for seed in seeds:
        how = mutate(newest, seed)
        state, notes = load_newest(root / "run")
        if state is None or not equal(state, old) or len(notes) != 1:
            missed.append(f"{seed}: {how}")
        shutil.rmtree(newest)
        shutil.copytree(root / "whole", newest)
    found, _ = load_newest(root / "run")
    assert found is not None
    assert equal(found, new)
    return missed


def test_every_mutation_of_a_checkpoint_is_found(tmp_path):
    assert undetected(tmp_path, range(200)) == []


@pytest.mark.slow
def test_every_one_of_two_thousand_mutations_is_found(tmp_path):
    assert undetected(tmp_path, range(200, 2200)) == []


def test_mutations_pass_a_loader_that_checks_no_hashes(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_digest", lambda path, flush: "")
    assert len(undetected(tmp_path, range(40))) >= 5
