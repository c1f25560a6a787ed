"""Greedy decoding of GPT-2's size and of a tenth of it (random weights): ours, transformers', CTranslate2's.

All go on with the same prompts, with the same weights, for exactly as many tokens. Each runs at its best settings, in
a process of its own, with the same number of threads; they take turns. What this machine's memory gives is measured in
the same turns: reading the weights once per step is the least that a step of batch 1 can take.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rig.gpt import GPT2, SMALL, bytes_per_step, convert_to_ctranslate2, write_gpt
from rig.nets import load_net
from rig.report import Report
from rig.shares import time_shares
from rig.turns import Contender, Outcome, Work, take_turns
from roofline import make_roofline

BASELINE = "transformers fp32"
BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
PROMPT = 32
Prompts = list[list[int]]


def make_transformers(folder: Path, dtype: str, tokens: int, attention: str = "sdpa") -> Work:
    """Cache on, inference mode; nothing stands between logits and tokens, and nothing ends an output."""
    from transformers import GPT2LMHeadModel

    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation=attention)
    model.generation_config.pad_token_id = 0

    @torch.inference_mode()
    def work(prompts: Prompts) -> Prompts:
        ids = torch.tensor(prompts)
        mask = torch.ones_like(ids)
        found = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=tokens, use_cache=True)
        return found[:, ids.size(1) :].tolist()

    return work


def make_ctranslate2(folder: Path, compute_type: str, tokens: int, threads: int) -> Work:
    """One batch at a time on all threads, the prompt read at once."""
    import ctranslate2

    settings = {"inter_threads": 1, "intra_threads": threads, "compute_type": compute_type}
    generator = ctranslate2.Generator(str(folder), device="cpu", **settings)
    options = {"max_length": tokens, "min_length": tokens, "include_prompt_in_result": False, "beam_size": 1}

    def work(prompts: Prompts) -> Prompts:
        words = [[str(i) for i in prompt] for prompt in prompts]
        return [one.sequences_ids[0] for one in generator.generate_batch(words, max_batch_size=0, **options)]

    return work


def make_qkv(folder: Path, dtype: str, tokens: int) -> Work:
    """Our engine on the packed copy."""
    from qkv.generation.engine import generate
    from qkv.nn.packed import pack

    net = pack(load_net(folder), getattr(torch, dtype))

    def work(prompts: Prompts) -> Prompts:
        ids = torch.tensor(prompts)
        return [one.ids for one in generate(net, ids, torch.ones_like(ids).bool(), room=tokens, end_ids=())]

    return work


def contenders(hf: Path, ct2: Path | None, tokens: int, threads: int) -> list[Contender]:
    """Return all rows of a result, CTranslate2's where it was converted for, the machine itself last."""

    def row(name: str, make: Any, folder: Path, env: Mapping[str, str] | None = None, **options: Any) -> Contender:
        return Contender(name=name, make=make, options={"folder": folder, "tokens": tokens, **options}, env=env or {})

    found = [
        row(BASELINE, make_transformers, hf, dtype="float32"),
        row("transformers bf16", make_transformers, hf, dtype="bfloat16"),
        row("transformers bf16, eager attention", make_transformers, hf, dtype="bfloat16", attention="eager"),
        row("qkv fp32", make_qkv, hf, dtype="float32"),
        row("qkv bf16", make_qkv, hf, dtype="bfloat16"),
    ]
    if ct2 is not None:
        mkl = {"CT2_USE_MKL": "1"}
        for name, kind, env in (
            ("fp32", "float32", None),
            ("fp32, MKL", "float32", mkl),
            ("int8", "int8", None),
            ("int8 with bf16", "int8_bfloat16", None),
        ):
            options = {"compute_type": kind, "threads": threads}
            found.append(row(f"CTranslate2 {name}", make_ctranslate2, ct2, env, **options))
    return [*found, Contender(name="roofline", make=make_roofline)]


def make_jobs(n_tokens: int) -> dict[str, Prompts]:
    """Return one prompt, and eight."""
    draw = torch.Generator().manual_seed(1)
    return {f"batch {batch}": torch.randint(n_tokens - 1, (batch, PROMPT), generator=draw).tolist() for batch in (1, 8)}


def tell(
    report: Report,
    title: str,
    size: dict[str, Any],
    outcomes: Mapping[str, Outcome],
    jobs: Mapping[str, Prompts],
    tokens: int,
) -> None:
    """Write one table per batch size, what beats what, and how many outputs equal the baseline's."""
    read = max(found["read GB/s"] for found in outcomes["roofline"].results.values())
    steps = {kind: read * 1e9 / bytes_per_step(size, n) for kind, n in BYTES.items()}
    report.say(
        f"{title}. Memory read: {read:.1f} GB/s. A step reads {bytes_per_step(size, 4) / 1e6:.0f} MB of fp32 weights: "
        f"at most {steps['fp32']:.0f} steps/s; {steps['bf16']:.0f} in bf16, {steps['int8']:.0f} in int8."
    )
    rivals = {name: outcome for name, outcome in outcomes.items() if name != "roofline"}
    for job, prompts in jobs.items():
        rows = []
        for name, outcome in rivals.items():
            if outcome.missing:
                rows.append([name, "missing", *[""] * 4])
                continue
            per_step = outcome.median(job) / tokens
            rows.append(
                [
                    name,
                    f"{len(prompts) / per_step:.0f}",
                    f"{per_step * 1e3:.1f}",
                    f"{outcome.times_as_fast_as(outcomes[BASELINE], job):.2f}x",
                    f"{100 / per_step / steps[next(word for word in BYTES if word in name)]:.0f} %",
                    f"{100 * outcome.spread(job):.0f} %",
                ]
            )
        head = ["", "tokens/s", "ms/step", "ratio", "roofline", "spread"]
        report.table(f"{title}, {job}, {tokens} tokens; ratio to {BASELINE}", head, rows)
        report.say("; ".join(_ratios(rivals, job)) + ".")
    report.say(f"Outputs equal, token for token, to those of {BASELINE}: " + "; ".join(_equal(rivals, jobs)) + ".")


def _ratios(rivals: Mapping[str, Outcome], job: str) -> list[str]:
    """Tell how many times as fast ours is as each peer's fastest row at the same precision, or at all."""
    there = {name: outcome for name, outcome in rivals.items() if not outcome.missing}
    pairs = [("qkv fp32", "transformers fp32"), ("qkv bf16", "transformers bf16"), ("qkv bf16", "CTranslate2")]
    found = []
    for ours, peer in pairs:
        rows = [name for name in there if name.startswith(peer)]
        if rows:
            best = min(rows, key=lambda name: there[name].median(job))
            found.append(f"{ours} is {there[ours].times_as_fast_as(there[best], job):.2f} times as fast as {best}")
    return found


def _equal(rivals: Mapping[str, Outcome], jobs: Mapping[str, Prompts]) -> list[str]:
    return [
        f"{name} {sum(a == b for a, b in pairs)} of {len(pairs)}"
        for name, outcome in rivals.items()
        if not outcome.missing and name != BASELINE
        for pairs in [[p for j in jobs for p in zip(outcome.results[j], rivals[BASELINE].results[j], strict=True)]]
    ]


def run(
    report: Report, title: str, size: dict[str, Any], *, rivals: Sequence[str], rounds: int, tokens: int, threads: int
) -> None:
    """Write a net, let those contenders whose names begin with one of `rivals` decode with it, and tell."""
    jobs = make_jobs(size["vocab_size"])
    with tempfile.TemporaryDirectory() as folder:
        hf, ct2 = Path(folder) / "hf", Path(folder) / "ct2"
        write_gpt(hf, size)
        if "CTranslate2" in rivals:
            try:
                convert_to_ctranslate2(hf, ct2, size["vocab_size"])
            except ImportError as error:
                report.say(f"CTranslate2 is missing: {error}.")
        every = contenders(hf, ct2 if ct2.exists() else None, tokens, threads)
        chosen = [one for one in every if one.name.startswith((*rivals, "qkv", "roofline"))]
        outcomes = take_turns(chosen, jobs, rounds=rounds, threads=threads)
        torch.set_num_threads(threads)
        work = make_qkv(hf, "bfloat16", tokens)
        shares = {job: time_shares(partial(work, prompts)) for job, prompts in jobs.items()}
    tell(report, title, size, outcomes, jobs, tokens)
    report.numbers[title] = {name: {"seconds": o.seconds, "missing": o.missing} for name, o in outcomes.items()}
    for job, parts in shares.items():
        rows = [[kind, f"{100 * share:.0f} %"] for kind, share in parts]
        report.table(f"Where the time goes: {title}, qkv bf16, {job}", ["", "share"], rows)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of 16 tokens; nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rounds, tokens = (2, 16) if options.quick else (options.rounds, 128)
    report = Report("decode_gpt", "Greedy decoding with GPT-2's net")
    report.say_machine(options.threads, "torch", "transformers", "ctranslate2")
    report.say(
        f"The same random weights for all; prompts of {PROMPT} tokens. Each does the same work {rounds} times, in "
        "turns; medians; ratios are medians of the rounds' ratios; spread is half of slowest less fastest, to the "
        "median. Time includes reading the prompt; the roofline is that of reading the weights once per step, and of "
        "nothing else."
    )
    given = {"rounds": rounds, "tokens": tokens, "threads": options.threads}
    run(report, "GPT-2 124M", GPT2, rivals=["transformers", "CTranslate2"], **given)
    run(report, "GPT 14M (6 x 384)", SMALL, rivals=[BASELINE], **given)
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
