"""Training steps of the base Transformer (Vaswani et al. 2017; 37,000 tokens): ours and transformers' Marian class.

Both start from the same weights and take the same batches in a plain loop: forward, backward, clipping, fused AdamW.
Lengths are drawn like those of real text. Each contender has a process of its own; they take turns.
"""

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rig.marian import BASE, END, pad, write_marian
from rig.nets import load_net
from rig.report import Report
from rig.shares import time_shares
from rig.turns import Contender, Outcome, Work, take_turns

BASELINE = "transformers fp32"
PAIRS = 32  # of a batch as it comes; a sorted batch has as many tokens
Pairs = list[tuple[list[int], list[int]]]
AS_IT_COMES, SORTED = "batches as they come", "batches of like length"


def make_transformers(folder: Path, dtype: str, attention: str = "sdpa") -> Work:
    """Give labels to the model, as its documentation says; padding is left out of its loss by -100."""
    from transformers import MarianMTModel

    model: Any = MarianMTModel.from_pretrained(folder, attn_implementation=attention)

    def loss(batch: Pairs) -> tuple[torch.Tensor, int]:
        (ids, mask), (target, real) = (pad([pair[side] for pair in batch], BASE) for side in (0, 1))
        labels = target[:, 1:].masked_fill(~real[:, 1:], -100)
        given = {"input_ids": ids, "attention_mask": mask.long(), "decoder_input_ids": target[:, :-1]}
        return model(**given, labels=labels, use_cache=False).loss, int(real[:, 1:].sum())

    return make_loop(model, loss, dtype)


def make_qkv(folder: Path, dtype: str) -> Work:
    """Our objective on our net, as `qkv train` runs them."""
    from qkv.tasks.translation import Example, Translation

    net = load_net(folder)
    task = Translation(None, None, net.cfg)  # type: ignore[arg-type]  # ids come as they are

    def loss(batch: Pairs) -> tuple[torch.Tensor, int]:
        found = task.loss(net, task.batch([Example(*pair) for pair in batch]))
        return found.total / found.n_units, found.n_units

    return make_loop(net, loss, dtype)


def make_loop(net: torch.nn.Module, loss: Any, dtype: str) -> Work:
    """Return the job of taking one step per batch; it returns the mean loss of the first batch, without dropout."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)

    def cast() -> Any:
        return torch.autocast("cpu", torch.bfloat16) if dtype == "bf16" else nullcontext()

    def work(job: Mapping[str, Any]) -> float | None:
        if not job["train"]:
            with torch.no_grad(), cast():
                return loss(job["batches"][0])[0].item()
        net.train()
        for batch in job["batches"]:
            with cast():
                value, _ = loss(batch)
            value.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
        net.eval()
        return None

    net.eval()
    return work


def contenders(folder: Path) -> list[Contender]:
    """Return all rows of the result."""
    eager = {"folder": folder, "dtype": "bf16", "attention": "eager"}
    return [
        Contender(name=BASELINE, make=make_transformers, options={"folder": folder, "dtype": "fp32"}),
        Contender(name="transformers bf16", make=make_transformers, options={"folder": folder, "dtype": "bf16"}),
        Contender(name="transformers bf16, eager attention", make=make_transformers, options=eager),
        Contender(name="qkv fp32", make=make_qkv, options={"folder": folder, "dtype": "fp32"}),
        Contender(name="qkv bf16", make=make_qkv, options={"folder": folder, "dtype": "bf16"}),
    ]


def make_jobs(n_batches: int) -> dict[str, dict[str, Any]]:
    """Return batches as they come and batches of like length, of one and the same text."""
    from qkv.data.sampler import Sampler

    draw = np.random.default_rng(0)
    sources = draw.lognormal(np.log(24), 0.5, 4096).clip(8, 64).astype(int)
    targets = (sources * draw.uniform(0.8, 1.25, len(sources))).clip(8, 64).astype(int)
    longer = np.maximum(sources, targets)
    budget = int(PAIRS * longer.mean())

    def pairs(indices: list[int]) -> Pairs:
        rows = [[draw.integers(1, BASE - 1, n - 1).tolist() for n in (sources[i], targets[i])] for i in indices]
        return [([*source, END], [BASE - 1, *target, END]) for source, target in rows]

    order = Sampler(longer, budget).order(0)[:n_batches]
    plain = [pairs(list(range(i * PAIRS, (i + 1) * PAIRS))) for i in range(n_batches)]
    alike = [pairs(indices) for indices in order]
    return {
        "first loss": {"train": False, "batches": plain[:1]},
        AS_IT_COMES: {"train": True, "batches": plain},
        SORTED: {"train": True, "batches": alike},
    }


def count(job: Mapping[str, Any]) -> tuple[int, float]:
    """Return the real target tokens of a job, and the share of padding among all places of both sides."""
    real = places = target = 0
    for batch in job["batches"]:
        for side in (0, 1):
            lengths = [len(pair[side]) - side for pair in batch]
            real, places = real + sum(lengths), places + max(lengths) * len(lengths)
        target += sum(len(pair[1]) - 1 for pair in batch)
    return target, 1 - real / places


def tell(report: Report, outcomes: Mapping[str, Outcome], jobs: Mapping[str, Any]) -> None:
    """Write one table for equal batches of each kind, and one for what users get."""
    head = ["", "target tokens/s", "s per step", "ratio", "spread"]
    speeds: dict[tuple[str, str], float] = {}
    for job in (AS_IT_COMES, SORTED):
        tokens, padding = count(jobs[job])
        rows = []
        for name, outcome in outcomes.items():
            if outcome.missing:
                rows.append([name, "missing", *[""] * 3])
                continue
            seconds = outcome.median(job)
            speeds[name, job] = tokens / seconds
            ratio = outcome.times_as_fast_as(outcomes[BASELINE], job)
            steps = len(jobs[job]["batches"])
            spread = f"{100 * outcome.spread(job):.0f} %"
            rows.append([name, f"{tokens / seconds:.0f}", f"{seconds / steps:.2f}", f"{ratio:.2f}x", spread])
        report.table(f"The same {job} for all ({100 * padding:.0f} % padding); ratio to {BASELINE}", head, rows)
    if ("qkv bf16", SORTED) in speeds:
        rows = [
            [f"{name}, {job}", f"{speed:.0f}", f"{speed / speeds[BASELINE, AS_IT_COMES]:.2f}x"]
            for (name, job), speed in speeds.items()
            if job == (SORTED if name.startswith("qkv") else AS_IT_COMES)
        ]
        report.table("As each is used: our sampler's batches, and a plain loader's", [*head[:2], "ratio"], rows)
    losses = [f"{name} {o.results['first loss']:.5f}" for name, o in outcomes.items() if not o.missing]
    report.say("Mean loss of the first batch before training, without dropout: " + "; ".join(losses) + ".")


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of one step, nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rounds, n_batches = (2, 1) if options.quick else (options.rounds, 3)
    report = Report("train_transformer", "Training the base Transformer")
    report.say_machine(options.threads, "torch", "transformers")
    report.say(
        f"6 + 6 layers, d_model 512, d_ff 2048, {BASE} tokens; dropout 0.1, none in attention; lengths 8 to 64, 24 in "
        f"the middle. {n_batches} steps a turn, {rounds} rounds, medians; ratios are medians of the rounds' ratios; "
        "spread is half of slowest less fastest, to the median. bf16 is autocast, weights stay in fp32."
    )
    jobs = make_jobs(n_batches)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_marian(folder, BASE)
        outcomes = take_turns(contenders(folder), jobs, rounds=rounds, threads=options.threads)
        torch.set_num_threads(options.threads)
        shares = time_shares(partial(make_qkv(folder, "bf16"), jobs[SORTED]))
    tell(report, outcomes, jobs)
    report.numbers = {name: {"seconds": o.seconds, "missing": o.missing} for name, o in outcomes.items()}
    rows = [[kind, f"{100 * share:.0f} %"] for kind, share in shares]
    report.table(f"Where the time goes: qkv bf16, {SORTED}", ["", "share"], rows)
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
