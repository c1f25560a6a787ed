"""Keys and values remembered between steps: tensors only; who owns the step owns the position.

On CPUs those of bfloat16 nets are kept in float32: one query meets them two to five times as fast, for no product there
is made for a few rows of bfloat16. Keys that are read once, as a prompt's are while it is read, stay as they are.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qkv.base.errors import ShapeError
from qkv.nn.where import Where


class KeyValue(NamedTuple):
    """The keys and values of one attention: b rows, h heads, room for n places, width d."""

    k: Float[Tensor, "b h n d"]
    v: Float[Tensor, "b h n d"]


class BlockCache(NamedTuple):
    """What one decoder block remembers: its own past, and the keys and values of its source, if it has one."""

    past: KeyValue
    source: KeyValue | None = None


def make_room(like: KeyValue, rows: int, places: int) -> KeyValue:
    """Return a cache with heads, width and device as `like`, for `rows` sequences of up to `places` tokens."""
    shape, dtype = (rows, like.k.size(1), places, like.k.size(3)), _kept_as(like.k)
    return KeyValue(like.k.new_zeros(shape, dtype=dtype), like.v.new_zeros(shape, dtype=dtype))


def keep(made: KeyValue) -> KeyValue:
    """Return keys and values that were made at once, as a cache keeps them."""
    return KeyValue(made.k.to(_kept_as(made.k)), made.v.to(_kept_as(made.v)))


def _kept_as(x: Tensor) -> torch.dtype:
    """Return the type that a cache keeps what is made of x in."""
    return torch.float32 if x.is_cpu and x.dtype == torch.bfloat16 else x.dtype


def grow(cache: KeyValue, k: Tensor, v: Tensor, where: Where) -> KeyValue:
    """Write new keys and values at `where.at`, in place, and return those the mask of `where` spans.

    Eager nets make the mask as long as the sequence so far, so that a slice is read; a compiled step makes it as long
    as the cache, so that no shape changes from step to step. With `where.causal`, for what a fresh cache reads first,
    the new ones are all there are.
    """
    at, mask = where.at, where.mask
    if at is None or (mask is None and not where.causal):
        raise ShapeError("A cache is read with `where.at`, the positions of the queries, and a mask over its keys.")
    cache.k.index_copy_(2, at, k.to(cache.k.dtype))
    cache.v.index_copy_(2, at, v.to(cache.v.dtype))
    if mask is None:
        return KeyValue(k, v)
    n = mask.size(-1)
    return KeyValue(cache.k[:, :, :n], cache.v[:, :, :n])


def pick(cache: KeyValue, rows: Int[Tensor, "n"], n_places: int | None = None) -> KeyValue:
    """Return the cache of the chosen rows, in their order; a row may be chosen more than once.

    With `n_places` the first so many places move within the cache itself, which then shows as many rows as chosen: no
    room is copied that nothing was written to. There may not be more rows than before.
    """
    if n_places is None:
        return KeyValue(cache.k.index_select(0, rows), cache.v.index_select(0, rows))
    return KeyValue(_move(cache.k, rows, n_places), _move(cache.v, rows, n_places))


def _move(x: Float[Tensor, "b h n d"], rows: Int[Tensor, "r"], n_places: int) -> Float[Tensor, "r h n d"]:
    kept = x[: rows.size(0)]
    kept[:, :, :n_places] = x[:, :, :n_places].index_select(0, rows)
    return kept
