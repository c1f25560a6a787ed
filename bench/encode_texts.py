"""Reading texts: BERT base on mixed lengths, DeBERTa-v3 base on equal ones (random weights): ours, transformers'.

All read the same ids with the same weights and return the state of every real token. Each runs in a process of its own,
with the same number of threads; they take turns. What this machine multiplies at most is measured in the same turns.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rig.nets import load_net
from rig.report import Report
from rig.turns import Contender, Outcome, Work, take_turns
from roofline import make_roofline

ALONE = "transformers fp32, text by text"
BASELINE = "transformers fp32"
MIXED, LONG, SHORT = "texts of 16 to 256 tokens", "4 texts of 512 tokens", "8 texts of 128 tokens"
QUICK: dict[str, Any] = {"num_hidden_layers": 2, "vocab_size": 1000}
DEBERTA: dict[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
Texts = list[list[int]]


def make_transformers(folder: Path, dtype: str, *, alone: bool = False) -> Work:
    """Inference mode; the attention that the library chooses: SDPA for BERT, its only one for DeBERTa."""
    from transformers import AutoModel

    model: Any = AutoModel.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    @torch.inference_mode()
    def work(texts: Texts) -> np.ndarray:
        if alone:
            return _real([model(input_ids=torch.tensor([text])).last_hidden_state[0] for text in texts])
        ids, mask = pad(texts)
        return _real([model(input_ids=ids, attention_mask=mask.long()).last_hidden_state[mask]])

    return work


def make_qkv(folder: Path, dtype: str | None, *, ragged: bool = False) -> Work:
    """Our net, or its packed copy where a dtype is given; ragged: texts end to end, without padding."""
    from qkv.nn.packed import pack
    from qkv.nn.ragged import encode_ragged

    net = load_net(folder)
    if dtype is not None:
        net = pack(net, getattr(torch, dtype))

    @torch.inference_mode()
    def work(texts: Texts) -> np.ndarray:
        ids, mask = pad(texts)
        return _real([(encode_ragged(net, ids, mask) if ragged else net.encode(ids, mask))[mask]])

    return work


def pad(texts: Texts) -> tuple[torch.Tensor, torch.Tensor]:
    """Return texts side by side, padded on the right, and which places are real."""
    longest = max(map(len, texts))
    ids = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return ids, torch.arange(longest) < torch.tensor([len(text) for text in texts])[:, None]


def _real(states: list[torch.Tensor]) -> np.ndarray:
    return torch.cat(states).float().numpy()


def contenders(folder: Path, *, ragged: bool) -> list[Contender]:
    """Return all rows of a result, the machine itself last."""

    def transformers(name: str, dtype: str, **more: Any) -> Contender:
        return Contender(name=name, make=make_transformers, options={"folder": folder, "dtype": dtype, **more})

    def qkv(name: str, dtype: str | None, **more: Any) -> Contender:
        return Contender(name=name, make=make_qkv, options={"folder": folder, "dtype": dtype, **more})

    rows = [
        transformers(BASELINE, "float32"),
        transformers(ALONE, "float32", alone=True),
        transformers("transformers bf16", "bfloat16"),
        qkv("qkv fp32", None),
        qkv("qkv fp32, packed", "float32"),
        qkv("qkv bf16, packed", "bfloat16"),
    ]
    if ragged:
        rows += [
            qkv("qkv fp32, ragged", None, ragged=True),
            qkv("qkv fp32, ragged, packed", "float32", ragged=True),
            qkv("qkv bf16, ragged, packed", "bfloat16", ragged=True),
        ]
    return [*rows, Contender(name="roofline", make=make_roofline)]


def mixed_lengths(n: int) -> list[int]:
    """Return the lengths of n texts: even shares of a lognormal around 64 tokens, from 16 to 256, in any order."""
    shares = (torch.arange(n) + 0.5) / n
    lengths = (64 * (0.7 * torch.special.ndtri(shares)).exp()).clamp(16, 256).long()
    return lengths[torch.randperm(n, generator=torch.Generator().manual_seed(1))].tolist()


def draw(lengths: list[int], n_tokens: int) -> Texts:
    """Return texts of these lengths."""
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(5, n_tokens, (n,), generator=generator).tolist() for n in lengths]


def work_of(texts: Texts, config: Any, *, distances: bool) -> float:
    """Return the floating-point operations of a pass over real tokens, in products alone; distances: DeBERTa's, too."""
    d, n = config.hidden_size, sum(map(len, texts))
    weights = n * (4 * d * d + 2 * d * config.intermediate_size)
    scores = sum(len(text) ** 2 for text in texts) * d * (4 if distances else 2)
    return 2.0 * config.num_hidden_layers * (weights + scores)


def tell(
    report: Report, title: str, outcomes: Mapping[str, Outcome], jobs: Mapping[str, Texts], work: Mapping[str, float]
) -> None:
    """Write one table per job: speed, how much of the roofline, how far from reading each text alone in fp32."""
    speeds = outcomes["roofline"].results.values()
    best = {kind: max(found[f"{kind} GFLOP/s"] for found in speeds) for kind in ("fp32", "bf16")}
    for job, texts in jobs.items():
        rows, alone = [], outcomes[ALONE].results[job]
        for name, outcome in outcomes.items():
            if name == "roofline":
                continue
            if outcome.missing:
                rows.append([name, "missing", *[""] * 4])
                continue
            seconds, error = outcome.median(job), np.abs(outcome.results[job] - alone).max()
            kind = "bf16" if "bf16" in name else "fp32"
            rows.append(
                [
                    name,
                    f"{seconds * 1e3:.0f}",
                    f"{outcome.times_as_fast_as(outcomes[BASELINE], job):.2f}x",
                    f"{100 * work[job] / (best[kind] * 1e9) / seconds:.0f} %",
                    f"{error / max(1.0, np.abs(alone).max()):.0e}",
                    f"{100 * outcome.spread(job):.0f} %",
                ]
            )
        real, longest = sum(map(len, texts)), max(map(len, texts))
        share = 1 - real / (longest * len(texts))
        head = ["", "ms", "ratio", "roofline", "error", "spread"]
        report.table(f"{title}: {job}, {real} tokens; {100 * share:.0f} % of a padded batch is padding", head, rows)
    report.numbers[title] = {name: {"seconds": o.seconds, "missing": o.missing} for name, o in outcomes.items()}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of two layers and few texts; nothing written")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    from transformers import BertConfig, BertModel, DebertaV2Config, DebertaV2Model

    rounds, small = (2, QUICK) if options.quick else (options.rounds, {})
    mixed = {MIXED: mixed_lengths(8 if options.quick else 32)}
    equal = {SHORT: [128] * (2 if options.quick else 8), LONG: [512] * (1 if options.quick else 4)}
    nets: dict[str, Any] = {
        "BERT base": (BertModel, BertConfig(**small), mixed, True),
        "DeBERTa-v3 base": (DebertaV2Model, DebertaV2Config(**DEBERTA | small), equal, False),
    }
    report = Report("encode_texts", "Reading texts")
    report.say_machine(options.threads, "torch", "transformers")
    report.say(
        f"The same random weights for all. Each does the same work {rounds} times, in turns; medians; ratios, to "
        f"{BASELINE}, padded, are medians of the rounds'; spread is half of slowest less fastest, to the median. "
        "The roofline is that of this machine's products, for real tokens alone; the error is the largest difference "
        f"from {ALONE}, as a share of max(1, the largest state)."
    )
    for title, (kind, config, lengths, ragged) in nets.items():
        jobs = {job: draw(n, config.vocab_size) for job, n in lengths.items()}
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            kind(config).save_pretrained(folder)
            rivals = contenders(Path(folder), ragged=ragged)
            outcomes = take_turns(rivals, jobs, rounds=rounds, threads=options.threads)
        tell(report, title, outcomes, jobs, {job: work_of(x, config, distances=not ragged) for job, x in jobs.items()})
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
