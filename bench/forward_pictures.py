"""Forward passes of ViT-B/16 and Swin-T over pictures of 224 x 224 (random weights): ours and timm's.

All run the same weights on the same pictures. Each runs at its best settings, in a process of its own, with the same
number of threads; they take turns. What this machine multiplies per second is measured in the same turns: the products
of a pass at that speed are the least that it can take.
"""

import argparse
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rig.pictures import SIDE, count_flops, draw_pictures, import_timm, load_qkv, write_timm
from rig.report import Report
from rig.shares import time_shares
from rig.turns import Contender, Outcome, Work, take_turns
from roofline import make_roofline

NETS = {"ViT-B/16": ("vit", "vit_base_patch16_224"), "Swin-T": ("swin", "swin_tiny_patch4_window7_224")}
BASELINES = ("timm fp32", "timm fp32, fused attention")  # the faster of the two counts
Job = tuple[str, int]


def make_timm(root: Path, dtype: str) -> Work:
    """Eager, in inference mode; the environment says whether attention is fused."""
    timm = import_timm()
    folders = {name: f"local-dir:{root / architecture}" for name, (_, architecture) in NETS.items()}
    nets = {name: timm.create_model(folder, pretrained=True).eval() for name, folder in folders.items()}
    nets = {name: net.to(getattr(torch, dtype)) for name, net in nets.items()}
    return make_work(nets, getattr(torch, dtype))


def make_qkv(root: Path, dtype: str | None) -> Work:
    """Our packed copy, or the net itself where no dtype is given."""
    from qkv.nn.packed import pack

    nets = {name: load_qkv(root / architecture, family) for name, (family, architecture) in NETS.items()}
    if dtype is not None:
        nets = {name: pack(net, getattr(torch, dtype)) for name, net in nets.items()}
    return make_work(nets, getattr(torch, dtype or "float32"))


def make_work(nets: Mapping[str, Any], dtype: torch.dtype) -> Work:
    """Return the job of one pass; it returns the logits."""
    drawn: dict[int, torch.Tensor] = {}

    @torch.inference_mode()
    def work(job: Job) -> list[list[float]]:
        name, n = job
        if n not in drawn:
            drawn[n] = draw_pictures(n).to(dtype)
        return nets[name](drawn[n]).float().tolist()

    return work


def contenders(root: Path) -> list[Contender]:
    """Return all rows of the result, the machine itself last."""

    def timm(dtype: str, fused: bool) -> dict[str, Any]:
        # 2 fuses Swin's attention, too, which timm holds back by default
        env = {"TIMM_FUSED_ATTN": "2" if fused else "0"}
        return {"make": make_timm, "options": {"root": root, "dtype": dtype}, "env": env}

    def qkv(dtype: str | None) -> dict[str, Any]:
        return {"make": make_qkv, "options": {"root": root, "dtype": dtype}}

    return [
        Contender(name=BASELINES[0], **timm("float32", False)),
        Contender(name=BASELINES[1], **timm("float32", True)),
        Contender(name="timm bf16", **timm("bfloat16", False)),
        Contender(name="timm bf16, fused attention", **timm("bfloat16", True)),
        Contender(name="qkv fp32, not packed", **qkv(None)),
        Contender(name="qkv fp32, packed", **qkv("float32")),
        Contender(name="qkv bf16, packed", **qkv("bfloat16")),
        Contender(name="roofline", make=make_roofline),
    ]


def tell(report: Report, outcomes: Mapping[str, Outcome], jobs: Mapping[str, Job], flops: Mapping[str, int]) -> None:
    """Write one table per net and batch size."""
    found = outcomes["roofline"].results.values()
    speed = {kind: max(one[f"{kind} GFLOP/s"] for one in found) for kind in ("fp32", "bf16")}
    report.say(
        f"Products: {speed['fp32']:.0f} GFLOP/s in fp32, {speed['bf16']:.0f} in bf16. One picture takes "
        + ", ".join(f"{count / 1e9:.1f} GFLOP in {name}" for name, count in flops.items())
        + "."
    )
    rivals = {name: outcome for name, outcome in outcomes.items() if name != "roofline"}
    for job, (net, n) in jobs.items():
        there = [outcomes[name] for name in BASELINES if not outcomes[name].missing]
        best = min(there, key=lambda outcome: outcome.median(job), default=None)
        rows = [_row(name, outcome, best, job, n, flops[net], speed) for name, outcome in rivals.items()]
        head = ["", "pictures/s", "ms", "ratio", "roofline", "difference", "spread"]
        report.table(f"{job}; ratio to and difference from the faster fp32 of timm", head, rows)


def _row(
    name: str, outcome: Outcome, best: Outcome | None, job: str, n: int, flops: int, speed: Mapping[str, float]
) -> list[str]:
    if outcome.missing:
        return [name, "missing", *[""] * 5]
    seconds, kind = outcome.median(job), "bf16" if "bf16" in name else "fp32"
    ratio, off = "", ""
    if best is not None:
        a, b = (torch.tensor(one.results[job]) for one in (outcome, best))
        ratio, off = f"{outcome.times_as_fast_as(best, job):.2f}x", f"{float((a - b).norm() / b.norm()):.1e}"
    share = f"{100 * n * flops / 1e9 / speed[kind] / seconds:.0f} %"
    spread = f"{100 * outcome.spread(job):.0f} %"
    return [name, f"{n / seconds:.1f}", f"{seconds * 1e3:.1f}", ratio, share, off, spread]


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds; nothing written")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rounds = 2 if options.quick else options.rounds
    report = Report("forward_pictures", "Forward passes of ViT-B/16 and Swin-T")
    report.say_machine(options.threads, "torch", "timm")
    report.say(
        f"Pictures of {SIDE} x {SIDE}, the same random weights for all. Each does the same work {rounds} times, in "
        "turns; medians; ratios are medians of the rounds' ratios; difference is that of the logits, by their norms; "
        "spread is half of slowest less fastest, to the median; the roofline is that of the products alone."
    )
    jobs = {f"{name}, batch {n}": (name, n) for name in NETS for n in (1, 8)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for _, architecture in NETS.values():
            write_timm(root / architecture, architecture)
        flops = {name: count_flops(architecture) for name, (_, architecture) in NETS.items()}
        outcomes = take_turns(contenders(root), jobs, rounds=rounds, threads=options.threads)
        torch.set_num_threads(options.threads)
        work = make_qkv(root, "bfloat16")
        shares = {job: time_shares(partial(work, given)) for job, given in jobs.items()}
    tell(report, outcomes, jobs, flops)
    report.numbers = {name: {"seconds": o.seconds, "missing": o.missing} for name, o in outcomes.items()}
    for job, parts in shares.items():
        rows = [[kind, f"{100 * share:.0f} %"] for kind, share in parts]
        report.table(f"Where the time goes: qkv bf16, packed, {job}", ["", "share"], rows)
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
