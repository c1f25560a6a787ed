"""One attention head at work, with real numbers: the pass that lectures work through by hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.model import Model, Reader, Writer
from qkv.nn.attention import Attend
from qkv.ops.attend import attend_weights
from qkv.verbs.translate import open_model

Row = list[float]


@dataclass(frozen=True, slots=True)
class Trace:
    """What one head of one layer computes for a text; a row per token, numbers as they are in the net.

    embedding: what enters the first layer. q, k, v: of this head. scores: q k^T, before they are scaled; scaled: with
    the scale, and with -inf where a token may not look; weights: their softmax; output: the mix of values.
    """

    model: str
    layer: int
    head: int
    scale: float
    tokens: list[str]
    embedding: list[Row]
    q: list[Row]
    k: list[Row]
    v: list[Row]
    scores: list[Row]
    scaled: list[Row]
    weights: list[Row]
    output: list[Row]


def trace(model: Model | Path | str, text: str, *, layer: int = 0, head: int = 0) -> Trace:
    """Work one head through a text: Vaswani et al. 2017, eq. 1 (https://arxiv.org/abs/1706.03762), step by step."""
    opened = open_model(model, "fp32")
    if not isinstance(opened, Reader | Writer):
        raise UnsupportedError(f"trace follows a text through one stack; a {opened.family.name} model has no such.")
    ids = opened.tokenizer.encode(text).ids
    seats = [module for module in opened.net.modules() if isinstance(module, Attend)]
    if not 0 <= layer < len(seats):
        raise ConfigError(f"layer is {layer}; this model has layers 0 to {len(seats) - 1}.")
    stream, (q, k, v, where) = _run(opened.net, seats[layer], torch.tensor([ids]))
    if not 0 <= head < q.size(1):
        raise ConfigError(f"head is {head}; this model has heads 0 to {q.size(1) - 1}.")
    group = head * k.size(1) // q.size(1)  # grouped queries share keys and values
    bias = None if where.bias is None else where.bias[:, [head % where.bias.size(1)]]
    q, k, v = q[:, [head]], k[:, [group]], v[:, [group]]
    scale = seats[layer].scale or q.size(-1) ** -0.5
    output, weights = attend_weights(q, k, v, mask=where.mask, bias=bias, causal=where.causal, scale=scale)
    scores = q @ k.mT
    scaled = (scores * scale + (0 if bias is None else bias)).masked_fill(weights == 0, -torch.inf)
    tables = {"q": q, "k": k, "v": v, "scores": scores, "scaled": scaled, "weights": weights, "output": output}
    numbers: dict[str, Any] = {name: x[0, 0].float().tolist() for name, x in tables.items()}
    return Trace(
        model=str(model) if not isinstance(model, Model) else model.family.name,
        layer=layer,
        head=head,
        scale=scale,
        tokens=opened.tokenizer.pieces(ids),
        embedding=stream[0].float().tolist(),
        **numbers,
    )


@torch.inference_mode()
def _run(net: Any, seat: Attend, ids: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
    """Run the net and return what entered its stack, and what the seat was given."""
    streams, calls = [], []  # a hook's list.append returns None, and so changes no input
    hooks = [
        net.stack.register_forward_pre_hook(lambda _, x: streams.append(x[0])),
        seat.register_forward_pre_hook(lambda _, x: calls.append(x)),
    ]
    try:
        net.encode(ids)
    finally:
        for hook in hooks:
            hook.remove()
    return streams[0], calls[0]
