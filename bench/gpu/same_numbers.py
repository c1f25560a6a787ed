"""Does every family say, learn and write on a GPU what it does on the CPU? Small nets, all options; passed or failed.

    PYTHONPATH=bench:tests python bench/gpu/same_numbers.py

In fp32 outputs, gradients and a decode with a cache, within 1e-4 of max(1, the largest number); in bf16 outputs, within
5e-2 of fp32 by norm.
"""

import sys
from collections import defaultdict
from typing import Any

import torch
from clock import read_options, say_device
from rig.report import Report
from torch.utils._pytree import tree_map_only

from models.acts import answers, decode, words, writes
from models.tiny import SMALL, Small, batch_for, difference, make, make_lively, outputs

EXACT, NEAR = 1e-4, 5e-2


def compare(small: Small, device: torch.device) -> tuple[float, float]:
    """Return the largest difference in fp32, and the largest in bf16."""
    torch.manual_seed(0)
    net, batch, ids = make(small), batch_for(small), words()
    wanted = answers(net, batch) + (decode(net, batch, *ids) if writes(net) else [])
    net, there = net.to(device), move(batch, device)
    found = answers(net, there) + (decode(net, there, *move(ids, device)) if writes(net) else [])
    exact = max(difference(a.cpu(), b) for a, b in zip(found, wanted, strict=True))
    lively = make_lively(small, std=0.2)
    with torch.no_grad():
        wanted, found = outputs(lively, batch), outputs(lively.to(device, torch.bfloat16), there)
    near = max(((a.float().cpu() - b).norm() / b.norm()).item() for a, b in zip(found, wanted, strict=True))
    return exact, near


def move(batch: Any, device: torch.device) -> Any:
    """Return a batch on the device."""
    return tree_map_only(torch.Tensor, lambda x: x.to(device), batch)


def main() -> None:
    """Run, print, write; fail if a family does."""
    parser, choose = read_options(__doc__)
    options = parser.parse_args()
    device = choose(options)
    torch.backends.cudnn.allow_tf32 = False  # fp32 is fp32
    report = Report("gpu-same_numbers", "Every family on a GPU, against itself on the CPU")
    say_device(report, device, quick=options.quick)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    faults = []
    for name, small in SMALL.items():
        try:
            both = compare(small, device)
        except Exception as error:  # one family's fault is told, the others go on
            faults.append(f"{name}: {type(error).__name__}: {error}".splitlines()[0])
            both = (float("nan"), float("nan"))
        if not (both[0] <= EXACT and both[1] <= NEAR):
            faults.append(f"{name}: fp32 {both[0]:.1e}, bf16 {both[1]:.1e}")
        found[small.family.name].append(both)
    rows = []
    for family, pairs in found.items():
        exact, near = (max(column, key=lambda x: (x != x, x)) for column in zip(*pairs, strict=True))
        passed = exact <= EXACT and near <= NEAR
        rows.append([family, str(len(pairs)), f"{exact:.1e}", f"{near:.1e}", "passed" if passed else "failed"])
    report.table("Largest differences", ["", "nets", "fp32", "bf16", ""], rows)
    for fault in faults:
        report.say(fault)
    report.numbers = dict(found)
    report.write(quick=options.quick)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
