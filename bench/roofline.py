"""What this machine gives at most: bytes read per second, multiplications per second.

The other benches measure it beside their contenders, in the same run: `make_roofline` is one of those that take turns.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rig.report import Report

READ_BYTES = 1 << 30  # far beyond any cache
GEMM = 2048


def read_bandwidth() -> float:
    """Return GB/s of reading 1 GiB once: a sum, the cheapest thing that touches every byte."""
    x = torch.ones(READ_BYTES // 4)
    return READ_BYTES / 1e9 / _best(x.sum)


def gemm_speed(dtype: torch.dtype) -> float:
    """Return GFLOP/s of a product of square matrices, 2048 wide: PyTorch's own or, where it is faster, oneDNN's."""
    a, b = torch.randn(2, GEMM, GEMM).to(dtype)
    ways: list[Callable[[], Any]] = [lambda: a @ b]
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        ways.append(lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""))
    return 2 * GEMM**3 / 1e9 / min(map(_best, ways))


def make_roofline() -> Callable[[Any], dict[str, float]]:
    """Return the job of a contender that measures the machine itself, whatever it is given."""
    return lambda _: measure()


def measure() -> dict[str, float]:
    """Return GB/s and GFLOP/s, each the best of some tries: a bound is not an average."""
    with torch.inference_mode():
        return {
            "read GB/s": read_bandwidth(),
            "fp32 GFLOP/s": gemm_speed(torch.float32),
            "bf16 GFLOP/s": gemm_speed(torch.bfloat16),
        }


def _best(act: Callable[[], Any], tries: int = 6) -> float:
    seconds = []
    for _ in range(tries):
        begun = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, nothing written")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    report = Report("roofline", "What the machine gives at most")
    report.say_machine(options.threads, "torch")
    found = [measure() for _ in range(1 if options.quick else 5)]
    report.numbers = {key: [one[key] for one in found] for key in found[0]}
    rows = [[key, f"{statistics.median(v):.1f}", f"{max(v):.1f}"] for key, v in report.numbers.items()]
    report.table(f"{len(found)} rounds", ["", "median", "best"], rows)
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
