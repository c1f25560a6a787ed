"""What two trainings must have in common, to the bit."""

from itertools import takewhile
from pathlib import Path
from typing import Any

from qkv.training.checkpoint import TrainingState, load_newest
from qkv.training.log import read_log
from qkv.training.loop import Event, Stepped, Training
from training.crash.states import same_bits


def steps_of(events: list[Event]) -> list[tuple]:
    """Return every step as figures that are equal in equal runs, floats to the last bit."""
    return [
        (e.step, e.loss.hex(), e.plain.hex(), e.lr.hex(), e.norm.hex(), e.n_units, e.skipped)
        for e in events
        if isinstance(e, Stepped)
    ]


def state_of(folder: Path) -> TrainingState:
    """Return the newest checkpoint, which must be sound."""
    state, notes = load_newest(folder)
    assert state is not None
    assert not notes
    return state


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Return the log without its clocks."""
    lines = read_log(folder / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "seconds" and not k.endswith("_per_s")} for line in lines]


def break_after(training: Training, step: int) -> list:
    """Run to a step and leave as a crash would: without a word."""
    events = training.run()
    seen = list(takewhile(lambda event: not (isinstance(event, Stepped) and event.step == step), events))
    events.close()
    return seen


def same_net(a: Training, b: Training) -> bool:
    one, two = a.net.state_dict(), b.net.state_dict()
    return one.keys() == two.keys() and all(same_bits(one[name], two[name]) for name in one)
