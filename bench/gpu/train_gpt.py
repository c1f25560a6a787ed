"""Training steps of GPT-2 124M on a GPU: ours and transformers' GPT2LMHeadModel, in one and the same loop.

    PYTHONPATH=bench python bench/gpu/train_gpt.py

Sequences of 1024 tokens, dropout 0, bf16 autocast over fp32 weights, clipping, fused AdamW. MFU is the share of the
GPU's peak that the model's own arithmetic takes: 6 N + 12 L d T operations per token (Chowdhery et al. 2022, appendix
B, https://arxiv.org/abs/2204.02311), N without the position table, all T keys counted though half are masked.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from clock import Outcome, Work, keep_numbers, read_options, say_device, take_turns
from rig.gpt import GPT2, SMALL, write_gpt
from rig.nets import load_net
from rig.report import Report
from torch import Tensor, nn

STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
STEPS = 5  # in a turn
BASELINE = "transformers"
Loss = Callable[[Tensor], Tensor]


def make_transformers(folder: Path, device: torch.device, *, compiled: bool) -> tuple[nn.Module, Loss]:
    """Give it the next token of each as labels, shifted already."""
    from transformers import GPT2LMHeadModel

    net: Any = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="sdpa")
    net.to(device).train()
    run: Any = torch.compile(net) if compiled else net

    def loss(ids: Tensor) -> Tensor:
        labels = ids[:, 1:].contiguous()
        return run(input_ids=ids[:, :-1], labels=labels, shift_labels=labels, use_cache=False).loss

    return net, loss


def make_qkv(folder: Path, device: torch.device, *, compiled: bool) -> tuple[nn.Module, Loss]:
    """Compile each block, and the scores together with their loss: no fp32 copy of them is made then."""
    from qkv.ops.losses import token_loss

    net = load_net(folder).to(device).train()

    def score(x: Tensor, labels: Tensor) -> Tensor:
        return token_loss(net.token.logits(x), labels)[0] / labels.numel()

    if compiled:
        for block in net.stack:
            block.compile(fullgraph=True)
        score = torch.compile(score, fullgraph=True)
    return net, lambda ids: score(net.encode(ids[:, :-1]), ids[:, 1:])


def make_loop(net: nn.Module, loss: Loss, batches: list[Tensor]) -> Work:
    """Return the job of one step per batch; it returns the loss of the first, before any step."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    kind = batches[0].device.type

    def work() -> float:
        losses = []
        for ids in batches:
            with torch.autocast(kind, torch.bfloat16):
                value = loss(ids)
            value.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            losses.append(value.detach())
        return losses[0].item()

    return work


def flops_per_token(size: Mapping[str, int], length: int) -> int:
    """Return 6 N + 12 L d T: forward and backward of one token."""
    d, n_layers = size["n_embd"], size["n_layer"]
    weights = size["vocab_size"] * d + n_layers * (12 * d * d + 13 * d) + 2 * d  # 13 d: biases and norms
    return 6 * weights + 12 * n_layers * d * length


def tell(
    report: Report, title: str, outcomes: Mapping[str, Outcome], tokens: int, flops: int, peak: float, gemm: float
) -> None:
    """Write the table of one batch size."""
    rows, base = [], outcomes[BASELINE]
    for name, outcome in outcomes.items():
        if outcome.missing:
            rows.append([name, outcome.missing, *[""] * 6])
            continue
        speed = tokens / outcome.median
        done = speed * flops / 1e12
        ratio = "" if base.missing else f"{outcome.times_as_fast_as(base):.2f}x"
        shares = [f"{100 * done / peak:.1f} %", f"{100 * done / gemm:.1f} %"]
        times = [f"{speed:,.0f}", f"{1e3 * outcome.median / STEPS:.1f}", ratio, *shares]
        rows.append([name, *times, f"{outcome.gigabytes:.1f}", outcome.spread])
    head = ["", "tokens/s", "ms/step", "ratio", f"MFU of {peak:.0f} TFLOP/s", "of measured", "GB", "spread"]
    report.table(f"{title}; ratio to {BASELINE}", head, rows)
    losses = [f"{name} {outcome.result:.4f}" for name, outcome in outcomes.items() if not outcome.missing]
    report.say("Loss of the first batch before the first step: " + "; ".join(losses) + ".")


def main() -> None:
    """Run, print, write."""
    parser, choose = read_options(__doc__)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64], help="sequences of a micro-batch")
    parser.add_argument("--peak", type=float, default=989.4, help="TFLOP/s of dense bf16; of an H100 SXM unless given")
    options = parser.parse_args()
    device, quick = choose(options), options.quick
    rounds, ways = (2, (False,)) if quick else (options.rounds, (False, True))
    size, length, batches = (GPT2, 1024, options.batches) if not quick else (SMALL | {"n_layer": 2}, 16, [2])
    report = Report("gpu-train_gpt", "Training GPT-2 124M on a GPU")
    roofline = say_device(report, device, "transformers", quick=quick)
    flops = flops_per_token(size, length)
    report.say(
        f"Sequences of {length} tokens; bf16 autocast, weights in fp32, dropout 0, clipping, fused AdamW. {STEPS} "
        f"steps a turn, {rounds} rounds in turns, medians; ratios are medians of the rounds' ratios; spread is half of "
        f"slowest less fastest, to the median. MFU counts 6 N + 12 L d T = {flops / 1e6:.0f} MFLOP per token, N "
        "without the position table; of measured: to a product of two matrices of 8192 x 8192 in this run. GB: what a "
        "step takes beyond weights and the optimiser's state."
    )
    draw = torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_gpt(folder, size | STILL)
        for n in batches:
            ids = torch.randint(size["vocab_size"] - 1, (STEPS, n, length + 1), generator=draw).to(device)
            contenders = {
                name + ", compiled" * compiled: make_loop(*make(folder, device, compiled=compiled), list(ids))
                for name, make in ((BASELINE, make_transformers), ("qkv", make_qkv))
                for compiled in ways
            }
            outcomes = take_turns(contenders, device, rounds=rounds)
            tell(report, f"Batch {n}", outcomes, STEPS * n * length, flops, options.peak, roofline["bf16 TFLOP/s"])
            keep_numbers(report, f"batch {n}", outcomes)
            del contenders
            torch._dynamo.reset()
    report.write(quick=quick)


if __name__ == "__main__":
    main()
