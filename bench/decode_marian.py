"""Beam-4 decoding of a net of OPUS-MT's size (random weights): ours, transformers', CTranslate2's.

All decode the same sources with the same weights for exactly 64 tokens. Each runs at its best settings, in a process of
its own, with the same number of threads; they take turns. What this machine's memory gives is measured in the same
turns: reading the decoder's weights once per step is the least that a step of batch 1 can take.
"""

import argparse
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rig.marian import END, OPUS, convert_to_ctranslate2, pad, write_marian
from rig.nets import load_net
from rig.report import Report
from rig.shares import time_shares
from rig.turns import Contender, Outcome, Work, take_turns
from roofline import make_roofline

BEAMS = 4
BASELINE = "transformers fp32"
BYTES = {"fp32": 4, "bf16": 2, "int8": 1}
Sources = list[list[int]]


def make_transformers(folder: Path, dtype: str, tokens: int, attention: str = "sdpa") -> Work:
    """Cache on, inference mode; no processor of logits stands in the way."""
    from transformers import MarianMTModel

    model: Any = MarianMTModel.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation=attention)

    @torch.inference_mode()
    def work(sources: Sources) -> Sources:
        ids, mask = pad(sources, OPUS)
        given = {"input_ids": ids, "attention_mask": mask.long()}
        found = model.generate(**given, num_beams=BEAMS, do_sample=False, max_new_tokens=tokens, use_cache=True)
        return found[:, 1:].tolist()

    return work


def make_ctranslate2(folder: Path, compute_type: str, tokens: int, threads: int) -> Work:
    """One translation at a time on all threads."""
    import ctranslate2

    settings = {"inter_threads": 1, "intra_threads": threads, "compute_type": compute_type}
    translator = ctranslate2.Translator(str(folder), device="cpu", **settings)
    lengths = {"max_decoding_length": tokens, "min_decoding_length": tokens}

    def work(sources: Sources) -> Sources:
        words = [[str(i) for i in source] for source in sources]
        found = translator.translate_batch(words, beam_size=BEAMS, max_batch_size=0, **lengths)
        return [[int(word) for word in one.hypotheses[0]] for one in found]

    return work


def make_qkv(folder: Path, dtype: str | None, tokens: int) -> Work:
    """Our beam search on the packed copy, or on the net itself where no dtype is given."""
    from qkv.generation.search import beam_search
    from qkv.nn.packed import pack

    net = load_net(folder)
    if dtype is not None:
        net = pack(net, getattr(torch, dtype))

    def work(sources: Sources) -> Sources:
        return [found.ids for found in beam_search(net, *pad(sources, OPUS), beams=BEAMS, room=tokens)]

    return work


def contenders(hf: Path, ct2: Path, tokens: int, threads: int) -> list[Contender]:
    """Return all rows of the result, the machine itself last."""

    def transformers(dtype: str, **more: Any) -> dict[str, Any]:
        return {"make": make_transformers, "options": {"folder": hf, "dtype": dtype, "tokens": tokens, **more}}

    def ctranslate2(kind: str) -> dict[str, Any]:
        options = {"folder": ct2, "compute_type": kind, "tokens": tokens, "threads": threads}
        return {"make": make_ctranslate2, "options": options}

    def qkv(dtype: str | None) -> dict[str, Any]:
        return {"make": make_qkv, "options": {"folder": hf, "dtype": dtype, "tokens": tokens}}

    return [
        Contender(name=BASELINE, **transformers("float32")),
        Contender(name="transformers bf16", **transformers("bfloat16")),
        Contender(name="transformers bf16, eager attention", **transformers("bfloat16", attention="eager")),
        Contender(name="CTranslate2 fp32", **ctranslate2("float32")),
        Contender(name="CTranslate2 fp32, MKL", **ctranslate2("float32"), env={"CT2_USE_MKL": "1"}),
        Contender(name="CTranslate2 int8", **ctranslate2("int8")),
        Contender(name="qkv fp32, not packed", **qkv(None)),
        Contender(name="qkv fp32, packed", **qkv("float32")),
        Contender(name="qkv bf16, packed", **qkv("bfloat16")),
        Contender(name="roofline", make=make_roofline),
    ]


def make_jobs(batches: list[int]) -> dict[str, Sources]:
    """Return sources of 12 to 36 tokens for each batch size; a batch of one has 24."""
    draw = torch.Generator().manual_seed(1)
    jobs = {}
    for batch in batches:
        lengths = torch.linspace(12, 36, batch).long().tolist() if batch > 1 else [24]
        rows = [torch.randint(2, OPUS - 1, (length - 1,), generator=draw).tolist() for length in lengths]
        jobs[f"batch {batch}"] = [[*row, END] for row in rows]
    return jobs


def bytes_per_step(precision: str) -> int:
    """Return the bytes of weights that one step of the decoder reads: its blocks, and the output table."""
    d, d_ff, layers = 512, 2048, 6
    return (layers * (4 * d * d + 2 * d * d + 2 * d * d_ff) + OPUS * d) * BYTES[precision]


def tell(report: Report, outcomes: Mapping[str, Outcome], jobs: Mapping[str, Sources], tokens: int) -> None:
    """Write one table per batch size, and how many outputs equal the baseline's."""
    read = max(found["read GB/s"] for found in outcomes["roofline"].results.values())
    report.say(
        f"Memory read: {read:.1f} GB/s. A step reads {bytes_per_step('fp32') / 1e6:.0f} MB of fp32 weights: at most "
        f"{read * 1e9 / bytes_per_step('fp32'):.0f} steps/s; {read * 1e9 / bytes_per_step('bf16'):.0f} in bf16."
    )
    rivals = {name: outcome for name, outcome in outcomes.items() if name != "roofline"}
    for job, sources in jobs.items():
        rows = [_row(name, outcome, outcomes[BASELINE], job, sources, tokens, read) for name, outcome in rivals.items()]
        head = ["", "tokens/s", "ms/step", "ratio", "roofline", "spread"]
        report.table(f"{job}, beam {BEAMS}, {tokens} tokens; ratio to {BASELINE}", head, rows)
    equal = []
    for name, outcome in rivals.items():
        if not outcome.missing and name != BASELINE:
            pairs = [p for job in jobs for p in zip(outcome.results[job], outcomes[BASELINE].results[job], strict=True)]
            equal.append(f"{name} {sum(a == b for a, b in pairs)} of {len(pairs)}")
    report.say(f"Outputs equal, token for token, to those of {BASELINE}: " + "; ".join(equal) + ".")


def _row(
    name: str, outcome: Outcome, baseline: Outcome, job: str, sources: Sources, tokens: int, read: float
) -> list[str]:
    if outcome.missing:
        return [name, "missing", *[""] * 4]
    precision = next(word for word in BYTES if word in name)
    seconds = outcome.median(job)
    return [
        name,
        f"{len(sources) * tokens / seconds:.0f}",
        f"{seconds / tokens * 1e3:.1f}",
        f"{outcome.times_as_fast_as(baseline, job):.2f}x",
        f"{100 * tokens * bytes_per_step(precision) / (read * 1e9) / seconds:.0f} %",
        f"{100 * outcome.spread(job):.0f} %",
    ]


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of 16 tokens, batch 1 and 8; nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rounds, tokens, batches = (2, 16, [1, 8]) if options.quick else (options.rounds, 64, [1, 8, 32])
    report = Report("decode_marian", "Beam-4 decoding at OPUS-MT's size")
    report.say_machine(options.threads, "torch", "transformers", "ctranslate2")
    report.say(
        f"6 + 6 layers, d_model 512, d_ff 2048, {OPUS} tokens, the same random weights for all; sources of 12 to 36 "
        f"tokens. Each does the same work {rounds} times, in turns; medians; ratios are medians of the rounds' ratios; "
        "spread is half of slowest less fastest, to the median. Time includes the encoder; the roofline is that of "
        "reading the decoder's weights once per step, and of nothing else."
    )
    jobs = make_jobs(batches)
    with tempfile.TemporaryDirectory() as folder:
        hf, ct2 = Path(folder) / "hf", Path(folder) / "ct2"
        write_marian(hf, OPUS, endless=True)
        try:
            convert_to_ctranslate2(hf, ct2, OPUS)
        except ImportError as error:
            report.say(f"CTranslate2 is missing: {error}.")
        rivals = contenders(hf, ct2, tokens, options.threads)
        outcomes = take_turns(rivals, jobs, rounds=rounds, threads=options.threads)
        torch.set_num_threads(options.threads)
        work = make_qkv(hf, "bfloat16", tokens)
        shares = {job: time_shares(partial(work, jobs[job])) for job in list(jobs)[:2]}
    tell(report, outcomes, jobs, tokens)
    report.numbers = {name: {"seconds": o.seconds, "missing": o.missing} for name, o in outcomes.items()}
    for job, parts in shares.items():
        rows = [[kind, f"{100 * share:.0f} %"] for kind, share in parts]
        report.table(f"Where the time goes: qkv bf16, packed, {job}", ["", "share"], rows)
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
