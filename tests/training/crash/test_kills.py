"""Killed at random moments, a training ends with the very bits of one that was left alone."""

import random
import signal
import sys
from pathlib import Path

import pytest

from qkv.base import files
from qkv.base.errors import WeightsError
from qkv.training.signals import RESUME_ME
from training.crash.killing import Start, command, differences, function, kill_and_compare, run_and_kill
from training.crash.naive import train_naively
from training.crash.standin import train

STEPS = 60  # of which every other one saves


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def start(run: Path) -> Start:
    return function(train, run, STEPS)


def test_killed_runs_end_with_the_same_bits(tmp_path):
    kill_and_compare(tmp_path, start, 5, longest=0.5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_kills_at_any_moment_change_no_bit(tmp_path):
    kill_and_compare(tmp_path, start, 100, longest=0.7)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_sigterms_change_no_bit(tmp_path):
    how = {"watch": "metrics.jsonl", "number": signal.SIGTERM, "codes": [RESUME_ME]}
    kill_and_compare(tmp_path, start, 20, longest=0.1, **how)


def test_the_naive_writer_fails_within_sixty_kills(tmp_path):
    run = tmp_path / "naive"
    drawn = random.Random(60)
    for i in range(60):
        pause = drawn.uniform(0, 0.1)
        ended = run_and_kill(function(train_naively, run, STEPS), [pause], watch=run / "metrics.jsonl")
        if ended.code not in (0, -signal.SIGKILL):
            print(f"naive: fails after {i + 1} kills")
            return
        if ended.code == 0:
            files.remove(run)
    pytest.fail("the harness finds nothing wrong with the naive writer")


def test_differences_are_found(tmp_path):
    for name in ("a", "b"):
        assert run_and_kill(function(train, tmp_path / name, 4), []).code == 0
    assert differences(tmp_path / "a", tmp_path / "b") == []
    log = tmp_path / "b" / "metrics.jsonl"
    text = log.read_text()
    log.write_text(text + text.splitlines()[-1] + "\n")
    assert len(differences(tmp_path / "a", tmp_path / "b")) == 1
    (tmp_path / "b" / "checkpoints" / "step-00000004" / "net.safetensors").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"net\.safetensors"):
        differences(tmp_path / "a", tmp_path / "b")


def test_a_failing_command_is_told():
    assert run_and_kill(command(lambda: [sys.executable, "-c", "raise SystemExit('torn')"]), [9.0]) == (0, 1, "torn\n")
    sleep = command(lambda: [sys.executable, "-c", "import time; time.sleep(60)"])
    assert run_and_kill(sleep, [0.01, 0.02], limit=0.1) == (3, -9, "not at its end after 0.1 s")
