"""Greedy decoding with GPT-2 124M on a GPU: ours, eagerly and as a replayed CUDA graph, and transformers'.

    PYTHONPATH=bench python bench/gpu/decode_gpt.py

All go on with the same prompts, with the same random weights in bf16, for exactly as many tokens. A step launches some
hundred small kernels, and launching them takes longer than running them: a graph launches all of them at once.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from clock import Outcome, Work, keep_numbers, read_options, say_device, take_turns
from rig.gpt import GPT2, SMALL, bytes_per_step, write_gpt
from rig.nets import load_net
from rig.report import Report
from torch import Tensor

from qkv.nn.where import Where
from qkv.ops.masks import keys_mask, reach_mask

BASELINE = "transformers"
PROMPT = 32


class Graph:
    """Steps of one shape, each writing the likeliest token, captured once and replayed for every token.

    The position is a tensor, and masks span all the room there is: nothing a step is made of changes but numbers. On a
    CPU the same steps run as they are.
    """

    def __init__(self, net: Any, ids: Tensor, room: int) -> None:
        self.net, self.room = net, room
        logits, self.state = net.begin(ids, room=room)
        self.token = logits.argmax(-1)
        self.place = torch.full((1,), ids.size(1), device=ids.device)
        self.first = self.place.clone()
        self.written = ids.new_zeros(ids.size(0), ids.size(1) + room)
        self.graph: Any = torch.cuda.CUDAGraph() if ids.is_cuda else None
        if self.graph is not None:
            self._capture()

    def _capture(self) -> None:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(self.graph):
            self._step()

    def _step(self) -> None:
        net, state = self.net, self.state
        self.written.index_copy_(1, self.place, self.token[:, None])
        mask = keys_mask(state.mask) & reach_mask(self.place, state.mask.size(1))
        x = net.embed(self.token[:, None], state.lengths[:, None])
        x = net.stack(x, Where(at=self.place, mask=mask), caches=state.caches)
        self.token.copy_(net.token.logits(x[:, 0]).argmax(-1))
        self.place.add_(1)
        state.lengths.add_(1)

    def run(self, ids: Tensor) -> list[list[int]]:
        """Read prompts of the shape that was captured, and go on with them."""
        logits, state = self.net.begin(ids, room=self.room)
        for cache, new in zip(self.state.caches, state.caches, strict=True):
            cache.past.k.copy_(new.past.k)
            cache.past.v.copy_(new.past.v)
        self.state.lengths.copy_(state.lengths)
        self.place.copy_(self.first)
        self.token.copy_(logits.argmax(-1))
        for _ in range(self.room):
            if self.graph is None:
                self._step()
            else:
                self.graph.replay()
        return self.written[:, ids.size(1) :].tolist()


def make_transformers(folder: Path, ids: Tensor, dtype: torch.dtype, tokens: int, **options: Any) -> Work:
    """Cache on, inference mode; nothing stands between logits and tokens, and nothing ends an output."""
    from transformers import GPT2LMHeadModel

    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa")
    model.to(ids.device)
    model.generation_config.pad_token_id = 0
    given = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": tokens, **options}

    @torch.inference_mode()
    def work() -> list[list[int]]:
        return model.generate(ids, **given)[:, ids.size(1) :].tolist()

    return work


def make_engine(net: Any, ids: Tensor, tokens: int) -> Work:
    """Our engine, which asks the GPU for each token."""
    from qkv.generation.engine import generate

    mask = torch.ones_like(ids, dtype=torch.bool)
    return lambda: [one.ids for one in generate(net, ids, mask, room=tokens, end_ids=())]


def make_steps(net: Any, ids: Tensor, tokens: int) -> Work:
    """`step` in a loop: nobody asks for a token before the end."""

    @torch.inference_mode()
    def work() -> list[list[int]]:
        logits, state = net.begin(ids, room=tokens)
        found = [logits.argmax(-1)]
        while len(found) < tokens:
            found.append(net.step(found[-1], state).argmax(-1))
        return torch.stack(found, 1).tolist()

    return work


def make_graph(net: Any, ids: Tensor, tokens: int) -> Work:
    """Steps captured beforehand, for prompts of this shape."""
    with torch.inference_mode():
        graph = Graph(net, ids, tokens)
    return torch.inference_mode()(lambda: graph.run(ids))


def tell(report: Report, title: str, outcomes: Mapping[str, Outcome], n: int, tokens: int, least: float) -> None:
    """Write the table of one batch size, and how many outputs equal the baseline's."""
    rows, base = [], outcomes[BASELINE]
    for name, outcome in outcomes.items():
        if outcome.missing:
            rows.append([name, outcome.missing, *[""] * 4])
            continue
        per_step = outcome.median / tokens
        ratio = "" if base.missing else f"{outcome.times_as_fast_as(base):.2f}x"
        times = [f"{n / per_step:,.0f}", f"{1e3 * per_step:.3f}", ratio, f"{100 * least / per_step:.0f} %"]
        rows.append([name, *times, outcome.spread])
    head = ["", "tokens/s", "ms/step", "ratio", "roofline", "spread"]
    report.table(f"{title}; ratio to {BASELINE}", head, rows)
    there = {name: o.result for name, o in outcomes.items() if not o.missing and name != BASELINE}
    if not base.missing:
        same = [f"{k} {sum(a == b for a, b in zip(v, base.result, strict=True))} of {n}" for k, v in there.items()]
        report.say(f"Outputs equal to those of {BASELINE}, token for token: " + "; ".join(same) + ".")


def main() -> None:
    """Run, print, write."""
    parser, choose = read_options(__doc__)
    options = parser.parse_args()
    device, quick = choose(options), options.quick
    size, tokens, rounds = (SMALL, 8, 2) if quick else (GPT2, 256, options.rounds)
    report = Report("gpu-decode_gpt", "Greedy decoding with GPT-2 124M on a GPU")
    roofline = say_device(report, device, "transformers", quick=quick)
    report.say(
        f"Prompts of {PROMPT} tokens, {tokens} more; {rounds} rounds in turns, medians; ratios are medians of the "
        "rounds' ratios; spread is half of slowest less fastest, to the median. Time includes reading the prompt. The "
        "roofline is that of reading the weights once per step at the speed of a copy, and of nothing else."
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_gpt(folder, size)
        for dtype in (torch.bfloat16, torch.float32):
            net: Any = load_net(folder).to(device, dtype).requires_grad_(False)
            least = bytes_per_step(size, dtype.itemsize) / 1e9 / roofline["GB/s"]
            for n in (1, 8):
                ids = torch.randint(size["vocab_size"] - 1, (n, PROMPT), generator=torch.Generator().manual_seed(n))
                ids = ids.to(device)
                contenders = {
                    BASELINE: make_transformers(folder, ids, dtype, tokens),
                    "qkv, engine": make_engine(net, ids, tokens),
                    "qkv, steps": make_steps(net, ids, tokens),
                    "qkv, graph": make_graph(net, ids, tokens),
                }
                if device.type == "cuda":  # it compiles the step by itself there
                    static = make_transformers(folder, ids, dtype, tokens, cache_implementation="static")
                    contenders["transformers, static cache"] = static
                outcomes = take_turns(contenders, device, rounds=rounds)
                title = f"{str(dtype).removeprefix('torch.')}, batch {n}"
                tell(report, title, outcomes, n, tokens, least)
                keep_numbers(report, title, outcomes)
    report.write(quick=quick)


if __name__ == "__main__":
    main()
