"""Contenders that take turns: each lives in its own process, all do the same jobs, round after round.

A process of its own keeps one library's threads, settings and memory away from the others; taking turns within a round
lets whatever else the machine does fall on all of them alike.
"""

import multiprocessing
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

Work = Callable[[Any], Any]
# glibc gives large tensors back to the system when they are freed; fetching them again costs a fault per 4 KiB, in a
# virtual machine up to a fifth of a training step. All contenders are told to keep them.
KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_MMAP_THRESHOLD_": str(1 << 40)}


@dataclass(frozen=True)
class Contender:
    """One row of a result. make(**options) runs in the contender's process and returns the function that does a job.

    keeps_memory: whether its process is told to keep what it frees; else it behaves as on any machine.
    """

    name: str
    make: Callable[..., Work]
    options: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    keeps_memory: bool = True


@dataclass
class Outcome:
    """What a contender did: seconds per job in each round, and what its first run returned; or why it could not."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    missing: str | None = None

    def median(self, job: str) -> float:
        """Return the median seconds of a job."""
        return statistics.median(self.seconds[job])

    def spread(self, job: str) -> float:
        """Return half the distance between the slowest and the fastest round, as a share of the median."""
        return (max(self.seconds[job]) - min(self.seconds[job])) / 2 / self.median(job)

    def times_as_fast_as(self, other: "Outcome", job: str) -> float:
        """Return the median over rounds of the other's seconds by our own."""
        return statistics.median(b / a for a, b in zip(self.seconds[job], other.seconds[job], strict=True))


def take_turns(
    contenders: Sequence[Contender], jobs: Mapping[str, Any], *, rounds: int, threads: int
) -> dict[str, Outcome]:
    """Let each contender do each job once untimed and then `rounds` times, in an order that turns with the rounds."""
    workers = {one.name: _Worker(one, threads) for one in contenders}
    outcomes = {name: Outcome(missing=worker.hear()) for name, worker in workers.items()}
    for name, outcome in outcomes.items():
        if outcome.missing:
            print(f"  {name}: missing, {outcome.missing}", file=sys.stderr)
    names = [name for name, outcome in outcomes.items() if not outcome.missing]
    for turn in range(-1, rounds):
        first = max(turn, 0) % len(names)
        for job, given in jobs.items():
            for name in names[first:] + names[:first]:
                seconds, result = workers[name].ask(given)
                if turn < 0:
                    outcomes[name].results[job] = result
                else:
                    outcomes[name].seconds.setdefault(job, []).append(seconds)
        print(f"  {'warm-up' if turn < 0 else f'round {turn + 1} of {rounds}'} done", file=sys.stderr)
    for worker in workers.values():
        worker.close()
    return outcomes


class _Worker:
    """The near end of a contender's process."""

    def __init__(self, contender: Contender, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far, contender, threads), daemon=True)
        settings = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", **contender.env}
        if contender.keeps_memory:
            settings |= KEEP_MEMORY
        before = {key: os.environ.get(key) for key in settings}
        os.environ.update(settings)
        self.process.start()
        far.close()
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})

    def hear(self) -> Any:
        """Return the next message; a process that died says so."""
        try:
            return self.pipe.recv()
        except EOFError:
            return f"its process ended with code {self.process.exitcode}"

    def ask(self, given: Any) -> tuple[float, Any]:
        """Return the seconds that a job took, and its result."""
        self.pipe.send(given)
        answer = self.hear()
        if isinstance(answer, str):
            raise SystemExit(f"{self.process.name}: {answer}")
        return answer

    def close(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join()


def _serve(pipe: Connection, contender: Contender, threads: int) -> None:
    """Live as a contender: first say what is missing (None if nothing is), then do jobs until the pipe closes."""
    try:
        work = contender.make(**contender.options)
    except Exception as error:  # whatever hinders a peer is told in the result, the others go on
        traceback.print_exc()
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])
        return
    pipe.send(None)
    while True:
        try:
            given = pipe.recv()
        except EOFError:
            return
        begun = time.perf_counter()
        try:
            result = work(given)
        except Exception:
            pipe.send(traceback.format_exc())
            raise
        pipe.send((time.perf_counter() - begun, result))
