"""Looking inside: facts of every head of a BERT base and a GPT-2 (random weights), ours and from transformers' maps.

Facts are the entropy of each row, what each key received, and the ten largest weights of each row, of every head of
every layer. The peer runs its eager attention, which alone gives maps, and computes the same facts from them. Each runs
in a process of its own, with the same number of threads; they take turns. Memory is the peak of a process beyond a
plain pass that it did before, less the facts themselves. With --long a GPT-2 reads 32,768 tokens, too.
"""

import argparse
import dataclasses
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rig.gpt import GPT2, SMALL, write_gpt
from rig.nets import load_net
from rig.report import Report
from rig.turns import Contender, Outcome, Work, take_turns
from roofline import gemm_speed

PEER, OURS = "transformers, eager maps", "qkv"
FACTS: dict[str, Any] = {"entropy": None, "received": None, "top": 10}
Ids = list[int]


class Peer:
    """transformers' net: a plain pass with its fused attention, or one that returns maps."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel

        self.model: Any = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()

    def plain(self, ids: Ids) -> None:
        """Run a plain pass."""
        self.model.set_attn_implementation("sdpa")
        self.model(input_ids=torch.tensor([ids]), use_cache=False)

    def facts(self, ids: Ids) -> list[list[torch.Tensor]]:
        """Return entropies, received mass and the largest weights of each layer."""
        self.model.set_attn_implementation("eager")
        maps = self.model(input_ids=torch.tensor([ids]), use_cache=False, output_attentions=True).attentions
        found = []
        for weights in maps:
            entropy = weights.clamp(min=1e-30).log_().mul_(weights).sum(-1).neg_()
            found.append([entropy, weights.sum(-2), *weights.topk(10)])
        return found


class Ours:
    """Our net, plain or while somebody looks."""

    def __init__(self, folder: Path) -> None:
        self.net = load_net(folder)

    def plain(self, ids: Ids) -> None:
        """Run a plain pass."""
        self.net.encode(torch.tensor([ids]))

    def facts(self, ids: Ids) -> list[list[torch.Tensor]]:
        """Return entropies, received mass and the largest weights of each layer."""
        from qkv.inside.look import look

        with look(self.net, facts=FACTS) as seen:
            self.net.encode(torch.tensor([ids]))
        layers = range(len(seen.maps))
        return [[seen.entropy(i), seen.received(i), *seen.top(i)] for i in layers]


def make_work(folder: Path, kind: type[Peer] | type[Ours], *, plain: bool) -> Work:
    """Return what takes turns: a plain pass, or all facts of one text; of them those that can be compared."""
    reader = kind(folder)

    @torch.inference_mode()
    def work(ids: Ids) -> np.ndarray:
        if plain:
            reader.plain(ids)
            return np.zeros(0)
        found = reader.facts(ids)
        return np.stack([np.stack([x.numpy() for x in (layer[0][0], layer[1][0])]) for layer in found])

    return work


def weigh_memory(folder: Path, kind: type[Peer] | type[Ours], n: int, threads: int) -> float:
    """Return the bytes that facts of n tokens take beyond a plain pass, at their peak, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_weigh, (folder, kind, n, threads))


@torch.inference_mode()
def _weigh(folder: Path, kind: type[Peer] | type[Ours], n: int, threads: int) -> float:
    torch.set_num_threads(threads)
    reader, ids = kind(folder), draw(n)
    reader.facts(draw(32))  # what is made once
    peaks = []
    for act in (reader.plain, reader.facts):
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins again at what is held now
        found = act(ids)
        peaks.append(_peak())
    return max(0.0, peaks[1] - peaks[0] - sum(x.nbytes for layer in found or () for x in layer))


def _peak() -> float:
    """Return the largest memory that this process has held, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def draw(n: int) -> Ids:
    """Return n tokens."""
    return torch.randint(5, 1000, (n,), generator=torch.Generator().manual_seed(n)).tolist()


def count_products(n: int, n_layers: int, *, causal: bool) -> float:
    """Return the operations of all products of a pass of n tokens, whose scores are made once more for their facts."""
    linear, square = 24 * n * 768**2, 2 * n * n * 768 / (2 if causal else 1)
    return float(n_layers * (linear + 3 * square))


def tell_speed(report: Report, title: str, outcomes: Mapping[str, Outcome], least: Mapping[str, float]) -> None:
    """Write how long both took, how far their facts are apart, and what products alone must take."""
    rows, (peer, ours) = [], (outcomes[PEER], outcomes[OURS])
    plain = [outcomes[f"{who}, plain"] for who in (PEER, OURS)]
    for job in ours.seconds:
        a, b = ours.results[job], peer.results[job]
        spread = max(one.spread(job) for one in outcomes.values())
        error = np.abs(a - b).max() / max(1.0, np.abs(b).max())
        seconds = [one.median(job) for one in (*plain, peer, ours)] + [least[job]]
        added = (seconds[2] - seconds[0]) / (seconds[3] - seconds[1])
        ratios = [f"{ours.times_as_fast_as(peer, job):.1f}x", f"{added:.1f}x"]
        rows.append([job, *(f"{x:.2f}" for x in seconds), *ratios, f"{100 * spread:.0f} %", f"{error:.0e}"])
    whose = [f"{who}, {what}" for what in ("plain pass", "with facts") for who in ("transformers", "qkv")]
    head = [
        "",
        *(f"{one}, s" for one in (*whose, "roofline with facts")),
        "ratio",
        "of what facts add",
        "spread",
        "difference",
    ]
    report.table(f"{title}: the pass, with facts of all heads", head, rows)
    report.numbers[title] = {name: one.seconds for name, one in outcomes.items()}


def tell_memory(report: Report, title: str, folder: Path, lengths: list[int], threads: int) -> None:
    """Write what both take beyond a plain pass, by length."""
    rows = []
    for n in lengths:
        peer, ours = (weigh_memory(folder, kind, n, threads) for kind in (Peer, Ours))
        ratio = f"{peer / ours:.0f}x" if ours else "nothing beyond it"
        rows.append([f"{n} tokens", f"{peer / 2**20:.0f}", f"{ours / 2**20:.1f}", ratio])
        report.numbers.setdefault(f"{title}, bytes", {})[n] = [peer, ours]
    report.table(f"{title}: peak beyond a plain pass, facts aside, MiB", ["", PEER, OURS, "ratio"], rows)


@torch.inference_mode()
def tell_generation(report: Report, sizes: Mapping[str, dict[str, Any]], rounds: int, tokens: int) -> None:
    """Write how much slower a net writes while two of its heads are watched."""
    from qkv.generation.engine import generate
    from qkv.inside.look import look
    from qkv.nn.packed import pack

    rows = []
    for title, size in sizes.items():
        with tempfile.TemporaryDirectory() as folder:
            write_gpt(Path(folder), size)
            net = pack(load_net(Path(folder)), torch.bfloat16)
        ids = torch.randint(5, 1000, (1, 32))
        ways = {"unwatched": None, "one layer": [size["n_layer"] // 2], "every layer": [*range(size["n_layer"])]}
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for turn in range(rounds + 1):
            for way, layers in ways.items():
                begun = time.perf_counter()
                if layers is None:
                    generate(net, ids, torch.ones_like(ids).bool(), room=tokens, end_ids=())
                else:
                    with look(net, layers=layers, heads=[0, 3]):
                        generate(net, ids, torch.ones_like(ids).bool(), room=tokens, end_ids=())
                if turn:
                    seconds[way].append(time.perf_counter() - begun)
        plain = seconds.pop("unwatched")
        slower = [statistics.median(b / a - 1 for a, b in zip(plain, other, strict=True)) for other in seconds.values()]
        rows.append([title, f"{statistics.median(plain) / tokens * 1e3:.2f}", *(f"{100 * x:+.1f} %" for x in slower)])
        report.numbers[f"{title}, watched"] = {"unwatched": plain, **seconds}
    head = ["", "ms/token", "two heads of one layer", "two heads of every layer"]
    report.table(f"Writing {tokens} tokens in bfloat16 while heads are watched", head, rows)


@torch.inference_mode()
def tell_long(report: Report, n: int) -> None:
    """Read a text far beyond what maps could be held of: 12 layers of 12 heads of 32,768 tokens are 619 GB."""
    from qkv.inside.look import look
    from qkv.inside.rollout import rollout
    from qkv.models.gpt import SIZES, Gpt

    net = Gpt(dataclasses.replace(SIZES["gpt2"], max_len=n)).eval()
    begun = time.perf_counter()
    with look(net, keep="fp16") as seen:
        net.encode(torch.tensor([draw(n)]))
    passed = time.perf_counter()
    found = seen.summarise(["entropy", "received"])
    told = time.perf_counter()
    row = rollout(seen, -1)
    ended = time.perf_counter()
    total = sum(float(layer["received"].sum()) for layer in found.values()) / (len(found) * 12 * n)
    report.say(
        f"GPT-2 124M reads {n} tokens: pass {passed - begun:.0f} s, entropy and received mass of all heads "
        f"{told - passed:.0f} s, one row of rollout {ended - told:.0f} s; peak of the whole process "
        f"{_peak() / 2**30:.1f} GiB. Mass received by all keys, by query: {total:.6f}; the rollout sums to "
        f"{float(row.sum()):.6f}."
    )
    report.numbers["long"] = {"tokens": n, "seconds": [passed - begun, told - passed, ended - told], "peak": _peak()}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of two layers and few tokens; nothing written")
    parser.add_argument("--long", action="store_true", help="read 32,768 tokens, too (half an hour)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lengths, n_layers = ([256, 512], 2) if options.quick else ([1024, 4096], 12)
    rounds = 2 if options.quick else options.rounds
    report = Report("attention_facts", "Facts of attention")
    report.say_machine(options.threads, "torch", "transformers")
    report.say(
        f"The same random weights for both, fp32, {n_layers} layers of 12 heads, one text. Each does the same work "
        f"{rounds} times, in turns; medians; ratios are medians of the rounds'; spread is half of slowest less "
        "fastest, to the median; what facts add is the pass with them less the plain pass; the difference is the "
        "largest of entropies and received mass, as a share of max(1, the largest). First all processes keep the "
        "memory that they free, which glibc must be told and helps whoever makes large maps; then as installed. The "
        "roofline is what the products of our pass and of the scores take at the speed of a product of square matrices."
    )
    for title, write in {"BERT base": write_bert, "GPT-2": write_gpt2}.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder, n_layers, max(lengths))
            jobs = {f"{n} tokens": draw(n) for n in lengths}
            for keeps in (True, False):
                rivals = [
                    Contender(name, make_work, {"folder": folder, "kind": kind, "plain": plain}, keeps_memory=keeps)
                    for who, kind in ((PEER, Peer), (OURS, Ours))
                    for name, plain in ((who, False), (f"{who}, plain", True))
                ]
                outcomes = take_turns(rivals, jobs, rounds=rounds, threads=options.threads)
                speed, causal = gemm_speed(torch.float32) * 1e9, title != "BERT base"
                least = {job: count_products(len(ids), n_layers, causal=causal) / speed for job, ids in jobs.items()}
                tell_speed(report, title if keeps else f"{title}, memory as installed", outcomes, least)
            several = [lengths[0], 2 * lengths[0], lengths[-1]]
            tell_memory(report, title, folder, sorted({*several}), options.threads)
    sizes = {"GPT 14M (6 x 384)": SMALL} if options.quick else {"GPT-2 124M": GPT2, "GPT 14M (6 x 384)": SMALL}
    tell_generation(report, sizes, rounds, 16 if options.quick else 128)
    report.write(quick=options.quick)
    if options.long:
        tell_long(report, 1024 if options.quick else 32_768)
        report.write(quick=options.quick)


def write_bert(folder: Path, n_layers: int, n: int) -> None:
    """Write transformers' BertModel, for texts of n tokens, with random weights."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig(num_hidden_layers=n_layers, max_position_embeddings=n)).save_pretrained(folder)


def write_gpt2(folder: Path, n_layers: int, n: int) -> None:
    """Write transformers' GPT2LMHeadModel, for texts of n tokens, with random weights."""
    write_gpt(folder, GPT2 | {"n_layer": n_layers, "n_positions": n})


if __name__ == "__main__":
    main()
