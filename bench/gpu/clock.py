"""What the benches on a GPU share: contenders that take turns on it, and what it gives at most.

All live in one process: the GPU's memory is one, and what a contender frees, the next one takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from rig.report import Report, describe_versions

Work = Callable[[], Any]
SIDE = 8192  # of the square matrices that are multiplied
COPIED = 1 << 32  # bytes, far beyond any cache


@dataclass
class Outcome:
    """What a contender did: the seconds of each round, what its first run returned, the memory it took; or why not."""

    seconds: list[float] = field(default_factory=list)
    result: Any = None
    gigabytes: float = 0.0
    missing: str | None = None

    @property
    def median(self) -> float:
        """The median seconds of a round."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        """Half the distance between the slowest and the fastest round, as a share of the median."""
        return f"{50 * (max(self.seconds) - min(self.seconds)) / self.median:.1f} %"

    def times_as_fast_as(self, other: "Outcome") -> float:
        """Return the median over rounds of the other's seconds by our own."""
        return statistics.median(b / a for a, b in zip(self.seconds, other.seconds, strict=True))


def take_turns(contenders: Mapping[str, Work], device: torch.device, *, rounds: int) -> dict[str, Outcome]:
    """Let each work three times untimed, which compiles what is compiled, and then `rounds` times, in turns."""
    outcomes = {name: Outcome() for name in contenders}
    for name, work in contenders.items():
        outcome = outcomes[name]
        try:
            outcome.result = work()
            outcome.gigabytes = measure_memory(work, device)
            work()
        except Exception as error:  # whatever hinders one is told in the result, the others go on
            outcome.missing = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        if outcome.missing and device.type == "cuda":
            torch.cuda.empty_cache()
    there = [name for name, outcome in outcomes.items() if not outcome.missing]
    for turn in range(rounds):
        first = turn % max(1, len(there))
        for name in there[first:] + there[:first]:
            outcomes[name].seconds.append(time_once(contenders[name], device))
    return outcomes


def time_once(work: Work, device: torch.device) -> float:
    """Return the seconds of one run, from an idle device to an idle device."""
    wait(device)
    begun = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - begun


def wait(device: torch.device) -> None:
    """Wait until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_memory(work: Work, device: torch.device) -> float:
    """Return the GB that a run takes at most, beyond what lies there before and after."""
    if device.type != "cuda":
        return 0.0
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    return (torch.cuda.max_memory_allocated(device) - before) / 1e9


def measure_roofline(device: torch.device, *, quick: bool) -> dict[str, float]:
    """Return TFLOP/s of a bf16 product of random matrices, and GB/s read and written by a copy: medians of ten."""
    side, copied = (256, 1 << 20) if quick else (SIDE, COPIED)
    a, b = torch.randn(2, side, side, device=device, dtype=torch.bfloat16)
    x = torch.ones(copied // 4, device=device)
    y = torch.empty_like(x)
    seconds = {}
    for name, work in {"gemm": lambda: a @ b, "copy": lambda: y.copy_(x)}.items():
        times = [time_once(work, device) for _ in range(13)]
        seconds[name] = statistics.median(times[3:])
    return {"bf16 TFLOP/s": 2 * side**3 / 1e12 / seconds["gemm"], "GB/s": 2 * copied / 1e9 / seconds["copy"]}


def read_options(text: str | None) -> tuple[argparse.ArgumentParser, Callable[[argparse.Namespace], torch.device]]:
    """Return a parser of what all scripts here take, and a function that names the device it was told."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--quick", action="store_true", help="tiny nets, two rounds, nothing written; also on a CPU")
    parser.add_argument("--rounds", type=int, default=7)

    def device(options: argparse.Namespace) -> torch.device:
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        if not options.quick:
            raise SystemExit("There is no CUDA device here. With --quick the script runs on the CPU, with tiny nets.")
        return torch.device("cpu")

    return parser, device


def say_device(report: Report, device: torch.device, *packages: str, quick: bool) -> dict[str, float]:
    """Say what runs where, and what it gives at most; return that."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    roofline = measure_roofline(device, quick=quick)
    found = ", ".join(f"{value:.0f} {unit}" for unit, value in roofline.items())
    report.say(f"1 {name}; {describe_versions('torch', *packages)}. Measured in this run: {found}.")
    report.numbers["roofline"] = roofline
    return roofline


def keep_numbers(report: Report, title: str, outcomes: Mapping[str, Outcome]) -> None:
    """Keep all rounds of all contenders for the JSON file."""
    report.numbers[title] = {name: {"seconds": o.seconds, "missing": o.missing} for name, o in outcomes.items()}
