"""Kill a training again and again, and compare what comes out, bit for bit, with one that was left alone."""

import hashlib
import itertools
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

from qkv.base import files
from qkv.base.errors import QkvError
from qkv.training.log import read_log

CLOCKS = ("seconds", "_per_s")  # how names of figures end that differ between equal runs
Process = subprocess.Popen | BaseProcess
Start = Callable[[Path], Process]


class Ended(NamedTuple):
    """How a training ended that was killed on the way: starts that were killed, its exit code, its last words."""

    kills: int
    code: int
    words: str


def run_and_kill(
    start: Start,
    delays: Iterable[float],
    *,
    number: int = signal.SIGKILL,
    watch: Path | None = None,
    codes: Sequence[int] = (),
    limit: float = 120.0,
) -> Ended:
    """Start a training again and again, sending a signal after each delay (seconds); then let it run to its end.

    start: from `command` or `function`. watch: a delay begins when this file first changes, so that no kill is spent
    on imports. codes: exit codes that count as killed beside that of the signal. It ends early when a start ends by
    itself, well or not: a start that fails is how a torn state shows. limit: seconds for the last start.
    """
    kills = 0
    with tempfile.TemporaryDirectory() as scratch:
        words = Path(scratch, "words")
        for delay in (*delays, None):
            before = _stamp(watch)
            process = start(words)
            try:
                while watch and delay is not None and _code(process) is None and _stamp(watch) == before:
                    time.sleep(0.001)
                _wait(process, limit if delay is None else delay)
                if delay is not None and _code(process) is None:
                    _send(process, number)
                    _wait(process, limit)
            finally:
                if _code(process) is None:
                    _send(process, signal.SIGKILL)
                    _wait(process, limit)
            code = _code(process)
            if code not in (-number, *codes):
                said = words.read_text(errors="replace")[-2000:] if words.exists() else ""
                return Ended(kills, -signal.SIGKILL if code is None else code, said)
            kills += 1
    return Ended(kills, -number, f"not at its end after {limit} s")


def kill_and_compare(
    root: Path, start: Callable[[Path], Start], kills: int, *, longest: float, watch: str | None = None, **how: Any
) -> None:
    """Train twice in peace, then kill trainings until `kills` signals have hit; all must end with the same bits.

    start: makes the start of a training in a run folder. longest: of the pauses before a signal, as a share of what the
    training takes in peace, so that fast and slow machines are hit in its midst alike. watch: a file of the run folder.
    """
    seconds = 0.0
    for name in ("peace", "again"):  # the first pays for imports too
        begun = time.monotonic()
        ended = run_and_kill(start(root / name), [])
        seconds = time.monotonic() - begun
        assert ended.code == 0, ended.words
    assert differences(root / "peace", root / "again") == []
    drawn = random.Random(kills)
    hit = 0
    for i in itertools.count(1):
        run = root / f"killed-{i}"
        pauses = [drawn.uniform(0, longest * seconds) for _ in range(kills - hit)]
        ended = run_and_kill(start(run), pauses, watch=run / watch if watch else None, **how)
        assert ended.code == 0, ended.words
        assert differences(root / "peace", run) == []
        hit += ended.kills
        if hit >= kills:
            print(f"{hit} kills in {i} trainings, 0 differing bits")
            return
        files.remove(run)


def command(line: Callable[[], Sequence[str]]) -> Start:
    """Start a command; `line` is asked before each start: first a fresh one, say, then a resumption."""

    def start(words: Path) -> Process:
        with words.open("w") as out:
            return subprocess.Popen(line(), stdout=out, stderr=subprocess.STDOUT, start_new_session=True)

    return start


def function(work: Callable[..., object], *args: object) -> Start:
    """Start a function of a module in a process forked from one that has imported it, so that a start takes no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "torch._dynamo", __name__, work.__module__])  # optimisers import dynamo

    def start(words: Path) -> Process:
        process = context.Process(target=_work, args=(words, work, args))
        process.start()
        return process

    return start


def _work(words: Path, work: Callable[..., object], args: tuple) -> None:
    os.setsid()
    try:
        work(*args)
    except QkvError as error:
        words.write_text(str(error))
        sys.exit(error.exit_code)
    except Exception:
        words.write_text(traceback.format_exc())
        sys.exit(1)


def _code(process: Process) -> int | None:
    return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode


def _send(process: Process, number: int) -> None:
    """Send a signal to a process and its workers; one that is only just beginning is not yet the head of its group."""
    with suppress(ProcessLookupError):
        try:
            os.killpg(process.pid or 0, number)
        except ProcessLookupError:
            os.kill(process.pid or 0, number)


def _wait(process: Process, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and _code(process) is None:
        time.sleep(0.001)


def _stamp(path: Path | None) -> tuple[int, int]:
    try:
        found = path.stat() if path else None
    except FileNotFoundError:
        found = None
    return (found.st_size, found.st_mtime_ns) if found else (0, 0)


def fingerprint(run: Path) -> dict[str, object]:
    """Return all that must be equal in two runs: SHA-256 of weights and of the last checkpoint, the log, floats as hex.

    The checkpoint is verified; the log's clocks (seconds, tokens per second) are left out.
    """
    newest = max((run / "checkpoints").glob("step-*"))
    files.verify(newest)
    listed = json.loads((newest / files.MANIFEST).read_text())["files"]
    seen: dict[str, object] = {f"{newest.name}/{name}": entry["sha256"] for name, entry in listed.items()}
    for path in run.glob("*.safetensors"):
        seen[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    for i, line in enumerate(read_log(run / "metrics.jsonl")):
        figures = {k: v.hex() if isinstance(v, float) else v for k, v in line.items() if not k.endswith(CLOCKS)}
        seen[f"line {i + 1}"] = figures
    return seen


def differences(a: Path, b: Path) -> list[str]:
    """List what differs between two runs, bit for bit."""
    one, two = fingerprint(a), fingerprint(b)
    return [f"{key}: {one.get(key)} != {two.get(key)}" for key in one | two if one.get(key) != two.get(key)]
