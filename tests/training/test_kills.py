"""`qkv train` as people run it, killed and stopped as machines do: it goes on, and no bit of the result differs."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qkv.training.checkpoint import load_newest
from qkv.training.log import read_log
from training.crash.killing import Ended, command, differences, run_and_kill
from verbs.small_runs import write_words

STEPS = 24
RECIPE = f"""
model = "transformer-tiny"
data = "words.tsv"
steps = {STEPS}
warmup = 4
budget = 150
dropout = 0.2
ema = 0.9
accumulate = 2
validate_every = 6
checkpoint_every = 3
log_every = 1
"""
# A shell that starts tests in the background has them ignore Ctrl-C, and their children too.
START = "import signal; signal.signal(2, signal.default_int_handler); from qkv.cli import main; main()"
QKV = (sys.executable, "-c", START, "train")


@pytest.fixture(scope="module")
def peace(tmp_path_factory) -> Path:
    """A run that was left alone; its recipe and data lie beside it."""
    folder = tmp_path_factory.mktemp("peace")
    words = write_words(folder / "words.tsv")
    (folder / "recipe.toml").write_text(RECIPE.replace("words.tsv", str(words)))
    ended = run_and_kill(command(train(folder / "run", folder)), [])
    assert ended.code == 0, ended.words
    return folder / "run"


def train(run: Path, recipe: Path) -> Callable[[], list[str]]:
    """Return what gives the next command: a start, or a resumption; what is left of the one before must be sound."""

    def line() -> list[str]:
        if not (run / "run.json").exists():
            return [*QKV, "--config", f"{recipe}/recipe.toml", "--out", str(run)]
        state, notes = load_newest(run)
        assert notes == []
        steps = [line["step"] for line in read_log(run / "metrics.jsonl") if "loss" in line]
        assert steps == list(range(1, len(steps) + 1)), "no step is lost, none doubled"
        assert state is None or len(steps) >= state.step
        return [*QKV, "--resume", str(run)]

    return line


def disturb(peace: Path, run: Path, delays: list[float]) -> Ended:
    """Kill a training after each of the delays; it must end like the one in peace."""
    ended = run_and_kill(command(train(run, peace.parent)), delays, watch=run / "metrics.jsonl")
    assert ended.code == 0, ended.words
    found = differences(peace, run)
    print(f"{ended.kills} killed, {len(found)} differences")
    assert found == []
    steps = [line["step"] for line in read_log(run / "metrics.jsonl") if "loss" in line]
    assert steps == list(range(1, STEPS + 1))
    return ended


def delays(n: int, longest: float) -> list[float]:
    drawn = random.Random(n)
    return [drawn.uniform(0, longest) for _ in range(n)]


def test_three_kills_change_no_bit(peace, tmp_path):
    assert disturb(peace, tmp_path / "run", delays(3, 0.1)).kills == 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_thirty_kills_change_no_bit(peace, tmp_path):
    """Each start must pass a checkpoint to get on, so the pauses are short against the whole training."""
    assert disturb(peace, tmp_path / "run", delays(30, 0.1)).kills == 30


def begin(run: Path, *arguments: str | Path) -> subprocess.Popen:
    """Start a training, and return when its first step is in the log."""
    line = [*QKV, *map(str, arguments), "--out", str(run)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_75_and_the_line_to_go_on_with(number, peace, tmp_path):
    run = tmp_path / "run"
    process = begin(run, "--config", peace.parent / "recipe.toml")
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    assert out == ""
    state, notes = load_newest(run)
    assert state is not None
    assert 1 <= state.step < STEPS
    assert notes == []
    said = err.splitlines()[-1]
    assert said == f"Stopped after step {state.step}. Go on with: qkv train --resume {run}"
    assert "Traceback" not in err
    advised = said.partition("Go on with: qkv train ")[2].split()
    done = subprocess.run([*QKV, *advised], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"Going on after step {state.step} of {STEPS}." in done.stderr
    assert differences(peace, run) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(number, peace, tmp_path):
    """A step of four hundred micro-batches is long: the first signal waits for its end, the second does not."""
    process = begin(tmp_path / "run", "--config", peace.parent / "recipe.toml", "--accumulate", "400")
    time.sleep(0.5)  # into the second step
    process.send_signal(number)
    time.sleep(0.2)
    assert process.poll() is None, "the first waits for the step"
    begun = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == -number
    assert time.monotonic() - begun < 2
    assert load_newest(tmp_path / "run") == (None, []), "nothing was saved yet, and nothing is damaged"


def test_ctrl_c_while_data_is_read_leaves_nothing(tmp_path):
    """Before the first step there is nothing to save: it ends quietly."""
    os.mkfifo(tmp_path / "pipe.tsv")
    line = [*QKV, "rnn-tiny", str(tmp_path / "pipe.tsv"), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with (tmp_path / "pipe.tsv").open("w"):  # opens when the reader is there, and it waits for lines
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert not (tmp_path / "run").exists()
