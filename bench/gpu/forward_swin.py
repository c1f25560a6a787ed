"""Forward passes of Swin-B over pictures of 224 x 224 in bf16 on a GPU (random weights): ours and timm's.

    PYTHONPATH=bench python bench/gpu/forward_swin.py

The same weights, the same pictures, in inference mode. timm's own default holds fused attention back for Swin.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from clock import Outcome, Work, keep_numbers, read_options, say_device, take_turns
from rig.pictures import count_flops, draw_pictures, import_timm, load_qkv, write_timm
from rig.report import Report

from qkv.nn.block import Block

BASELINE = "timm"


def make_timm(folder: Path, device: torch.device, *, fused: bool, compiled: bool) -> Any:
    """Return timm's net; whether attention is fused is settled when it is built."""
    timm = import_timm()
    timm.layers.set_fused_attn(True, experimental=fused)
    net = timm.create_model(f"local-dir:{folder}", pretrained=True).eval().to(device, torch.bfloat16)
    return torch.compile(net) if compiled else net


def make_qkv(folder: Path, device: torch.device, *, compiled: bool) -> Any:
    """Return our net; compiled, each kind of block makes one graph."""
    net = load_qkv(folder, "swin").to(device, torch.bfloat16)
    if compiled:
        for module in net.modules():
            if isinstance(module, Block):
                module.compile(fullgraph=True, dynamic=False)
    return net


def make_work(net: Any, pictures: torch.Tensor) -> Work:
    """Return the job of one pass; it returns the logits."""
    return torch.inference_mode()(lambda: net(pictures).float())


def tell(report: Report, n: int, outcomes: Mapping[str, Outcome], flops: int, gemm: float) -> None:
    """Write the table of one batch size; differences are those of the logits, by their norms."""
    rows, base = [], outcomes[BASELINE]
    for name, outcome in outcomes.items():
        if outcome.missing:
            rows.append([name, outcome.missing, *[""] * 6])
            continue
        speed = n / outcome.median
        ratio = difference = ""
        if not base.missing:
            ratio = f"{outcome.times_as_fast_as(base):.2f}x"
            difference = f"{((outcome.result - base.result).norm() / base.result.norm()).item():.1e}"
        times = [f"{speed:,.0f}", f"{1e3 * outcome.median:.2f}", ratio, f"{100 * speed * flops / 1e12 / gemm:.0f} %"]
        rows.append([name, *times, difference, f"{outcome.gigabytes:.1f}", outcome.spread])
    head = ["", "images/s", "ms", "ratio", "of measured", "difference", "GB", "spread"]
    report.table(f"Batch {n}; ratio and difference to {BASELINE}", head, rows)


def main() -> None:
    """Run, print, write."""
    parser, choose = read_options(__doc__)
    options = parser.parse_args()
    device, quick = choose(options), options.quick
    name, sizes, rounds = ("swin_tiny", [1], 2) if quick else ("swin_base", [64, 256], options.rounds)
    name += "_patch4_window7_224"
    torch._dynamo.config.recompile_limit = 64  # eight kinds of blocks, of two batch sizes
    report = Report("gpu-forward_swin", "Swin-B on a GPU: pictures of 224 x 224 in bf16")
    roofline = say_device(report, device, "timm", quick=quick)
    report.say(
        f"{rounds} rounds in turns, medians; ratios are medians of the rounds' ratios; spread is half of slowest less "
        "fastest, to the median; of measured: the products' operations per second, to those of a product of two "
        "matrices of 8192 x 8192 in this run."
    )
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_timm(folder, name)
        flops = count_flops(name)
        nets = {
            BASELINE: make_timm(folder, device, fused=False, compiled=False),
            "timm, fused attention": make_timm(folder, device, fused=True, compiled=False),
            "qkv": make_qkv(folder, device, compiled=False),
        }
        if not quick:
            nets["timm, fused attention, compiled"] = make_timm(folder, device, fused=True, compiled=True)
            nets["qkv, compiled"] = make_qkv(folder, device, compiled=True)
        for n in sizes:
            pictures = draw_pictures(n).to(device, torch.bfloat16)
            outcomes = take_turns({who: make_work(net, pictures) for who, net in nets.items()}, device, rounds=rounds)
            tell(report, n, outcomes, flops, roofline["bf16 TFLOP/s"])
            keep_numbers(report, f"batch {n}", outcomes)
    report.write(quick=quick)


if __name__ == "__main__":
    main()
