"""Attention of long inputs in float32 on CPUs where nothing learns: by tiles, since oneDNN is twice as fast."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor

from qkv.ops.linear import is_onednns, linear

ROWS = 256  # queries of a tile
MANY_KEYS = 512


def is_long(q: Float[Tensor, "b h t d"], k: Float[Tensor, "b g s d"], v: Float[Tensor, "b g s e"]) -> bool:
    """Tell where oneDNN's products beat the fused kernel, whose products in float32 are MKL's.

    12 heads of width 64 on Zen 5, ms: 512 keys 5.9 fused, 4.4 by tiles; 1024 keys 19 and 15; 4096 keys 303 and 190,
    causal 178 and 115. With 256 keys and fewer the fused kernel is as fast or faster.
    """
    learns = torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v))
    return q.size(2) >= ROWS and k.size(2) >= MANY_KEYS and is_onednns(q) and not learns


def attend_long(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s e"],
    *,
    causal: bool,
    scale: float | None,
) -> Float[Tensor, "b h t e"]:
    """Return what `ops.attend` does without mask and bias, some queries of one head at a time: O(s) memory."""
    (b, h, t, d), repeats = q.shape, q.size(1) // k.size(1)
    q, k, v = (q * (d**-0.5 if scale is None else scale)).contiguous(), k.contiguous(), v.contiguous()
    out = q.new_empty(b, h, t, v.size(3))
    later = torch.ones(ROWS, ROWS, dtype=torch.bool, device=q.device).triu_(1)
    for row, head, begin in itertools.product(range(b), range(h), range(0, t, ROWS)):
        end = min(begin + ROWS, t)
        seen = end if causal else k.size(2)
        keys, values = (x[row, head // repeats, :seen] for x in (k, v))
        scores = linear(q[row, head, begin:end], keys)
        if causal:
            scores[:, begin:].masked_fill_(later[: end - begin, : end - begin], -torch.inf)
        out[row, head, begin:end] = linear(scores.softmax(-1), values.mT)
    return out
