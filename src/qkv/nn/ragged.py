"""Texts of many lengths without padding: laid end to end in one row, each sees only itself (`Where.lengths`)."""

from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.base.errors import UnsupportedError
from qkv.nn.where import Where


def unpad(x: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"]) -> tuple[Float[Tensor, "1 n m"], tuple[int, ...]]:
    """Return the real places in one row, text after text, and how many each text has; one without any is left out."""
    return x[mask][None], tuple(n for n in mask.sum(1).tolist() if n)


def repad(x: Float[Tensor, "1 n m"], mask: Bool[Tensor, "b t"]) -> Float[Tensor, "b t m"]:
    """Return the places of one row where `mask` has them, the inverse of `unpad`; padding is zero."""
    padded = x.new_zeros(*mask.shape, x.size(-1))
    padded[mask] = x[0]
    return padded


def encode_ragged(
    net: Any, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"], segments: Int[Tensor, "b t"] | None = None
) -> Float[Tensor, "b t m"]:
    """Return the states that `net.encode` returns, to fp rounding, and zeros for padding, which costs nothing here.

    For inference, and for encoders with an `embed` before their stack, whose attention adds nothing to its scores;
    UnsupportedError otherwise. What the head says of the states: `net.answer`. Padding may lie anywhere.
    """
    if not hasattr(net, "embed"):
        raise UnsupportedError(f"{type(net).__name__} does not read texts without padding: use its encode.")
    x, lengths = unpad(net.embed(ids, mask, segments), mask)
    return repad(net.stack(x, Where(lengths=lengths)), mask)
