"""Scaled dot-product attention (Vaswani et al. 2017, eq. 1, https://arxiv.org/abs/1706.03762), in two forms.

`attend` never builds the weights; `attend_weights` returns them, for looking inside. Both give the same numbers.
Axes: b batch, h query heads, g key/value heads, t queries, s keys, d and e head widths.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from qkv.base.errors import ShapeError
from qkv.ops.attend_long import attend_long, is_long
from qkv.ops.masks import additive, causal_mask


def attend(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s e"],
    *,
    mask: Bool[Tensor, "*#bh #t s"] | None = None,
    bias: Float[Tensor, "*#bh t s"] | None = None,
    causal: bool = False,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Float[Tensor, "b h t e"]:
    """Return softmax(q kᵀ · scale + bias) v with the fused kernel, or by tiles where those are faster.

    mask: True = may look; a row that may look nowhere gives zeros. bias: added to the scores, any mask already inside
    it as -inf. Give one of the two, not both: joining them is the caller's, once per pass. causal: query i sees keys
    0..i; it wants equally many queries and keys. scale: 1/sqrt(d) unless given. dropout: probability, training only.
    """
    _check(q, k, mask, bias, causal)
    if mask is None and bias is None and not dropout and is_long(q, k, v):
        return attend_long(q, k, v, causal=causal, scale=scale)
    grouped = q.size(1) != k.size(1)
    return F.scaled_dot_product_attention(
        q, k, v, mask if bias is None else bias, dropout, causal, scale=scale, enable_gqa=grouped
    )


def attend_weights(
    q: Float[Tensor, "b h t d"],
    k: Float[Tensor, "b g s d"],
    v: Float[Tensor, "b g s e"],
    *,
    mask: Bool[Tensor, "*#bh #t s"] | None = None,
    bias: Float[Tensor, "*#bh t s"] | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> tuple[Float[Tensor, "b h t e"], Float[Tensor, "b h t s"]]:
    """Return what `attend` returns for the same arguments, and the weights: O(t s) memory per head."""
    _check(q, k, mask, bias, causal)
    if (repeats := q.size(1) // k.size(1)) > 1:
        k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    scores = (q * (q.size(-1) ** -0.5 if scale is None else scale)) @ k.mT
    if causal:
        mask = causal_mask(q.size(2), k.size(2), q.device)
    weights = _share(scores, bias if mask is None else additive(mask, scores.dtype)).to(v.dtype)
    return weights @ v, weights


def _check(q: Tensor, k: Tensor, mask: Tensor | None, bias: Tensor | None, causal: bool) -> None:
    if bias is not None and mask is not None:
        raise ShapeError("Attention takes a mask or a bias, not both: put the mask into the bias as -inf.")
    if causal and (mask is not None or bias is not None or q.size(2) != k.size(2)):
        raise ShapeError(
            f"causal=True is for plain self-attention; here are {q.size(2)} queries, {k.size(2)} keys"
            f"{'' if mask is None and bias is None else ' and a mask or bias'}. Pass qkv.ops.masks.causal_mask as mask."
        )


def mix(
    scores: Float[Tensor, "*n t s"], values: Float[Tensor, "*n s e"], mask: Bool[Tensor, "*#n #t s"] | None = None
) -> tuple[Float[Tensor, "*n t e"], Float[Tensor, "*n t s"]]:
    """Turn scores of any kind into weights, and mix the values by them: Bahdanau et al. 2015, eqs. 5 and 6.

    The softmax runs in fp32 at least, whatever it is given. A row that may look nowhere (mask False throughout) gets
    zeros, not NaN.
    """
    weights = _share(scores, None if mask is None else additive(mask, scores.dtype)).to(values.dtype)
    return weights @ values, weights


def _share(scores: Tensor, bias: Tensor | None) -> Tensor:
    """Return the softmax of rows of scores and bias, and zeros where all of a row's bias is -inf.

    Such rows are rare, and two passes over all scores to be ready for them take as long as the softmax; where asking
    costs nothing, it is asked.
    """
    if bias is None:
        return scores.softmax(-1, dtype=scores.dtype)
    scores, blind = scores + bias, bias.amax(-1, keepdim=True).isneginf()
    if scores.is_cpu and not torch.compiler.is_compiling() and not blind.any():
        return scores.softmax(-1, dtype=scores.dtype)
    return scores.masked_fill(blind, 0.0).softmax(-1, dtype=scores.dtype).masked_fill(blind, 0.0)
