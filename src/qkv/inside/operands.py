"""Queries, keys and values of a call as a trace keeps them, for the page that works attention through by hand."""

import torch
from torch import Tensor

from qkv.inside.condense import Arrays
from qkv.inside.cuts import Cut
from qkv.ops.tiles import Scored

SMALL = 1_500_000  # bytes of all of them: below, they are kept unasked


def count_bytes(call: Scored) -> int:
    """Return how many bytes queries, keys, values and bias of one input take."""
    (h, t, d), (g, s) = call.q.shape[1:], call.k.shape[1:3]
    plain = call.bias is None and (call.mask is None or bool(call.mask.all()))
    return 2 * call.q.size(0) * (h * t * d + 2 * g * s * d) + (0 if plain else 2 * h * (call.q.size(0) * t) ** 2)


def keep_operands(call: Scored, values: Tensor) -> Arrays:
    """Return q, k, v and, where anything is added to the scores, bias, which is -inf where a query may not look."""
    found = {"q": call.q[0], "k": call.k[0], "v": values[0]}
    if (bias := _added(call)) is not None:
        found["bias"] = bias[0]
    return {name: x.half().cpu().numpy() for name, x in found.items()}


def keep_operands_of_windows(call: Scored, values: Tensor, cut: Cut) -> Arrays:
    """Return the same for the whole map that was cut: what lies in another window may not be looked at."""
    n, (h, w) = cut.grid[0] * cut.grid[1], call.q.shape[1:3]
    found = {}
    for name, x in (("q", call.q), ("k", call.k), ("v", values)):
        found[name] = x.new_zeros(x.size(1), n, x.size(3))
        found[name][:, cut.places] = x.transpose(0, 1)
    added = _added(call)
    inside = call.q.new_zeros(1, h, w, w) if added is None else added
    found["bias"] = call.q.new_full((h, n, n), float("-inf"))
    found["bias"][:, cut.places[:, :, None], cut.places[:, None]] = inside.expand(len(cut.places), h, w, w).transpose(
        0, 1
    )
    return {name: x.half().cpu().numpy() for name, x in found.items()}


def _added(call: Scored) -> Tensor | None:
    """Return what is added to the scores (b, h, t, s), but for the causal mask; None for nothing."""
    b, h, t, s = call.shape
    if call.bias is not None:
        return call.bias[(None,) * (4 - call.bias.dim())].expand(-1, h, t, s)
    if call.mask is None or bool(call.mask.all()):
        return None
    mask = call.mask[(None,) * (4 - call.mask.dim())]
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf")).expand(b, h, t, s)
