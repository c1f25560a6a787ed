"""The promise itself: translators killed at random moments end with the bits of those that were left alone."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from qkv.training.signals import RESUME_ME
from training.crash.killing import Ended, differences, function, run_and_kill
from training.crash.translating import translate_dates

TRAININGS: dict[str, dict[str, Any]] = {
    "bahdanau": {"model": "bahdanau-tiny", "steps": 60, "validate_every": 10, "patience": 3, "ema": 0.9},
    "transformer": {"model": "transformer-tiny", "steps": 60, "accumulate": 2, "validate_every": 10},
}


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def pauses(n: int, longest: float) -> list[float]:
    drawn = random.Random(n)
    return [drawn.uniform(0, longest) for _ in range(n)]


def disturb(root: Path, options: dict[str, Any], delays: list[float], **kwargs: Any) -> Ended:
    """Train once in peace and once disturbed; they must be equal."""
    peace = run_and_kill(function(translate_dates, root / "peace", options), [])
    assert peace.code == 0, peace.words
    ended = run_and_kill(function(translate_dates, root / "killed", options), delays, **kwargs)
    assert ended.code == 0, ended.words
    assert differences(root / "peace", root / "killed") == []
    print(f"{options}: {ended.kills} disturbed, 0 differing bits")
    return ended


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TRAININGS)
def test_thirty_kills_change_no_bit(name, tmp_path):
    watch = tmp_path / "killed" / "metrics.jsonl"
    assert disturb(tmp_path, TRAININGS[name], pauses(40, 0.2), watch=watch).kills >= 30


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_sigterms_each_exit_75_and_change_no_bit(tmp_path):
    options = TRAININGS["bahdanau"]
    watch = tmp_path / "killed" / "metrics.jsonl"
    ended = disturb(tmp_path, options, pauses(20, 0.05), watch=watch, number=signal.SIGTERM, codes=[RESUME_ME])
    assert ended.kills == 20
