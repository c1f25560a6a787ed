"""The promise itself: translators killed at random moments end with the bits of those that were left alone."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qkv.training.signals import RESUME_ME
from training.crash.killing import Start, function, kill_and_compare
from training.crash.translating import translate_dates

TRAININGS: dict[str, dict[str, Any]] = {
    "bahdanau": {"model": "bahdanau-tiny", "steps": 60, "validate_every": 10, "patience": 3, "ema": 0.9},
    "transformer": {"model": "transformer-tiny", "steps": 60, "accumulate": 2, "validate_every": 10},
}


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def start(options: dict[str, Any]) -> Callable[[Path], Start]:
    return lambda run: function(translate_dates, run, options)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TRAININGS)
def test_thirty_kills_change_no_bit(name, tmp_path):
    kill_and_compare(tmp_path, start(TRAININGS[name]), 30, longest=0.2, watch="metrics.jsonl")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_sigterms_change_no_bit(tmp_path):
    how = {"watch": "metrics.jsonl", "number": signal.SIGTERM, "codes": [RESUME_ME]}
    kill_and_compare(tmp_path, start(TRAININGS["bahdanau"]), 20, longest=0.1, **how)
