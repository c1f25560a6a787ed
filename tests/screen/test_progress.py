"""What a training shows while it runs: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import io
import re
import time
from itertools import count
from pathlib import Path

import pytest
from rich.console import Console

from qkv.data.pairs import Pair
from qkv.data.report import check_pairs
from qkv.screen.progress import Reporter
from qkv.training.loop import Began, Noticed, Saved, Stepped, Validated


def step(n: int, skipped: bool = False) -> Stepped:
    return Stepped(n, 1.5, 1.25, 0.001, 0.7, 1000, 0.5, skipped)


EVENTS = [
    check_pairs("names.tsv", [Pair("[red]one", "un")]),
    Began("[bold]run[/]", 0, 40),
    Noticed("Read [this]."),
    *(step(n) for n in range(1, 21)),
    Validated(20, {"loss": 1.23456, "exact": 50.0}, True),
    Validated(21, {"loss": 2.0}, False),
    Saved(21, Path("run/checkpoints/step-00000021")),
]


def shown(monkeypatch, *, terminal: bool, quiet: bool = False) -> str:
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100, color_system=None, legacy_windows=False)
    with Reporter(console, quiet=quiet) as report:
        for event in EVENTS:
            report(event)
    return screen.getvalue()


def test_plain_lines_where_there_is_no_terminal(monkeypatch):
    text = shown(monkeypatch, terminal=False)
    assert "[red]one" in text, "data is text, not markup"
    assert "Read [this].\n" in text
    assert "[bold]run[/]: step 20, validation loss 1.2346, exact 50.0000 (best)\n" in text
    assert "[bold]run[/]: step 21, validation loss 2.0000\n" in text
    assert "[bold]run[/]: checkpoint step-00000021\n" in text
    steps = [line for line in text.splitlines() if " of 40, " in line]
    assert len(steps) == 2, "a line every ten seconds"
    assert steps[0].startswith("[bold]run[/]: step 9 of 40, loss 1.2500, 2,000 tokens/s, ")
    assert steps[0].endswith(" s left")
    assert "\x1b" not in text


def test_speed_is_in_the_units_that_the_training_counts(monkeypatch):
    monkeypatch.setattr(f"{__name__}.EVENTS", [Began("run", 0, 40, "pictures"), *(step(n) for n in range(1, 21))])
    assert "2,000 pictures/s, " in shown(monkeypatch, terminal=False)
    assert "2,000 pictures/s" in shown(monkeypatch, terminal=True)


def test_time_left_goes_by_this_process_alone(monkeypatch):
    """A resumed run counts its own steps: 10 in 10 seconds leave 90 for the 90 that are left."""
    seconds = iter([0.0, 0.0, 10.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    screen = io.StringIO()
    report = Reporter(Console(file=screen, width=100))
    report(Began("run", 900, 1000))
    report(step(910))
    assert screen.getvalue() == "run: step 910 of 1000, loss 1.2500, 2,000 tokens/s, 90 s left\n"


def test_a_bar_on_a_terminal(monkeypatch):
    text = shown(monkeypatch, terminal=True)
    assert "20/40" in text
    assert "2,000 tokens/s" in text
    assert "[bold]run[/]" in text, "a folder's name is text, not markup"
    assert "validation loss 1.2346" in text
    assert " of 40, " not in text


def test_the_bar_fits_eighty_columns(monkeypatch):
    monkeypatch.setattr(time, "monotonic", count().__next__)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None, legacy_windows=False)
    with Reporter(console) as report:
        report(Began("transformer-tiny", 0, 1000))
        for n in range(1, 1001):
            report(Stepped(n, 12.5, 12.5, 0.001, 0.7, 123456, 1.0, False))
    last = [line for line in screen.getvalue().replace("\r", "\n").splitlines() if "1000/1000" in line][-1]
    assert "loss 12.5000  123,456 tokens/s" in last
    assert re.search(r"\d:\d\d:\d\d$", last.strip()), "the time left is not cut off"


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_is_quiet(terminal, monkeypatch):
    assert shown(monkeypatch, terminal=terminal, quiet=True) == ""
