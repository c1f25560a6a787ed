"""Calls of attention as they are looked at afterwards: queries and keys, and their weights one tile at a time.

A tile is a few hundred queries of a few heads: so small that it stays in a processor's cache from the product to the
last sum, and that memory grows with the number of tokens, not with its square.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.base.errors import ShapeError
from qkv.ops.linear import is_onednns, linear

ROWS = 256  # of a tile, at most
CELLS = {"cpu": 1 << 20, "cuda": 1 << 24}  # of a tile, unless one row of a group of heads has more


class Tile(NamedTuple):
    """Some rows of some maps. What it holds is overwritten by the next one.

    at: which rows of the batch, heads and queries. keys: which keys; weights of all others are zero. peak: the largest
    score of each row, -inf where it sees no key. logs: scores less the peak. log_z: the logarithm of the sum of their
    exponentials; weights = exp(logs - log_z). Of weights that come without scores the peak is None.
    """

    at: tuple[slice, slice, slice]
    keys: slice
    weights: Float[Tensor, "b h t s"]
    logs: Float[Tensor, "b h t s"]
    log_z: Float[Tensor, "b h t"]
    peak: Float[Tensor, "b h t"] | None


class Call:
    """One call of attention: what `Scored` and `Weighed` have in common.

    shape: rows of the batch, heads, queries, keys. take(at): the call of the chosen queries alone. walk(): the tiles,
    to be read inside `exactly`.
    """

    shape: tuple[int, int, int, int]
    dtype: torch.dtype
    device: torch.device
    take: Callable[[Int[Tensor, "n"]], "Call"]
    walk: Callable[[], Iterator[Tile]]

    @property
    def n_queries(self) -> int:
        """How many queries each row of the batch has."""
        return self.shape[2]

    @property
    def n_keys(self) -> int:
        """How many keys each row of the batch has."""
        return self.shape[3]

    @property
    def wide(self) -> torch.dtype:
        """What its facts are computed in: fp32, or fp64 if it is."""
        return torch.promote_types(self.dtype, torch.float32)

    def weights(self) -> Float[Tensor, "b h t s"]:
        """Return all weights, as `attend_weights` does: O(t s) memory."""
        out = torch.zeros(self.shape, dtype=self.wide, device=self.device)
        with exactly(self):
            for tile in self.walk():
                out[(*tile.at, tile.keys)] = tile.weights
        return out

    def rows(self, at: Int[Tensor, "n"]) -> Float[Tensor, "b h n s"]:
        """Return the weights of the chosen queries; ShapeError for one that is not there."""
        if wrong := [place for place in at.tolist() if not 0 <= place < self.n_queries]:
            raise ShapeError(f"There is no query {wrong[0]}: here are queries 0 to {self.n_queries - 1}.")
        return self.take(at).weights()

    def tiles(self, size: int = ROWS) -> Iterator[tuple[int, Float[Tensor, "b h n s"]]]:
        """Return the weights of at most `size` queries at a time, each with the number of the first of them."""
        for part in torch.arange(self.n_queries, device=self.device).split(size):
            yield int(part[0]), self.take(part).weights()


@dataclass(frozen=True, slots=True)
class Scored(Call):
    """One call of scaled dot-product attention, without its values: arguments as `ops.attend` has them, and more.

    causal: with fewer queries than keys, the queries are the last ones; a mask or bias may come on top of it. lengths:
    the one row of the batch is sequences laid end to end, of these lengths, and none sees another.
    """

    q: Float[Tensor, "b h t d"]
    k: Float[Tensor, "b g s d"]
    mask: Bool[Tensor, "*#bh #t s"] | None = None
    bias: Float[Tensor, "*#bh #t s"] | None = None
    causal: bool = False
    scale: float | None = None
    lengths: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:  # type: ignore[override]
        """Rows of the batch, heads, queries, keys."""
        b, h, t, _ = self.q.shape
        return b, h, t, self.k.size(2)

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        """The type of its queries."""
        return self.q.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where its queries lie."""
        return self.q.device

    def take(self, at: Int[Tensor, "n"]) -> "Scored":
        """Return the call of the chosen queries alone."""
        keys = torch.arange(self.n_keys, device=at.device)
        hidden = torch.zeros(at.size(0), self.n_keys, dtype=torch.bool, device=at.device)
        if self.causal:
            hidden |= keys > (at + self.n_keys - self.n_queries)[:, None]
        if self.lengths is not None:
            text = torch.repeat_interleave(torch.tensor(self.lengths, device=at.device))
            hidden |= text != text[at][:, None]
        mask, bias = (x if x is None or x.size(-2) == 1 else x.index_select(-2, at) for x in (self.mask, self.bias))
        if bias is not None:
            bias = bias.masked_fill(hidden, float("-inf"))
        elif self.causal or self.lengths is not None:
            mask = ~hidden if mask is None else mask & ~hidden
        return replace(self, q=self.q.index_select(2, at), mask=mask, bias=bias, causal=False, lengths=None)

    def walk(self) -> Iterator[Tile]:
        """Return the tiles; to be read inside `exactly`."""
        _check(self)
        (b, h, t, s), g, cells = self.shape, self.k.size(1), CELLS.get(self.device.type, CELLS["cuda"])
        if not (b and t and s):
            return
        repeats = h // g
        height = min(t, ROWS, max(1, cells // (repeats * s)))
        n_cells = min(b * h * t * s, max(cells, repeats * height * s))
        room = [self.q.new_empty(n_cells, dtype=self.wide) for _ in range(2)]
        k, scale = self.k.to(self.wide).contiguous(), self.q.size(-1) ** -0.5 if self.scale is None else self.scale
        for rows, keys in self._spans(height):
            shape = (repeats, rows.stop - rows.start, keys.stop - keys.start)
            n = cells // (shape[0] * shape[1] * shape[2])  # so many groups of heads make one tile
            for batch in _cuts(0, b, max(1, n // g)):
                for group in _cuts(0, g, max(1, min(n, g))):
                    at = (batch, slice(group.start * repeats, group.stop * repeats), rows)
                    q = (self.q[at].to(self.wide) * scale).unflatten(1, (-1, repeats)).flatten(2, 3).flatten(0, 1)
                    there = k[batch, group, keys].flatten(0, 1)
                    scores, weights = (x[: q.size(0) * q.size(1) * shape[2]] for x in room)
                    scores = _multiply(q, there, scores.view(*q.shape[:2], -1))
                    whole = (batch.stop - batch.start, at[1].stop - at[1].start, *shape[1:])
                    yield self._weigh(at, keys, scores.view(whole), weights.view(whole))

    def _spans(self, height: int) -> Iterator[tuple[slice, slice]]:
        """Return rows, and the keys that any of them may see."""
        t, s = self.shape[2:]
        for begin, end in pairwise(accumulate(self.lengths or (t,), initial=0)):
            last = s if self.lengths is None else end
            for rows in _cuts(begin, end, height):
                yield rows, slice(begin, rows.stop + last - end if self.causal else last)

    def _weigh(self, at: tuple[slice, slice, slice], keys: slice, scores: Tensor, weights: Tensor) -> Tile:
        """Turn products into weights, in place."""
        if self.mask is not None:
            scores.masked_fill_(~_over(self.mask, at, keys), float("-inf"))
        if self.bias is not None:
            scores += _over(self.bias, at, keys)
        if self.causal:
            n = scores.size(2)  # the last n keys are those at the queries' own places
            later = torch.ones(n, n, dtype=torch.bool, device=scores.device).triu_(1)
            scores[..., -n:].masked_fill_(later, float("-inf"))
        peak = scores.amax(-1)
        if self.mask is None and self.bias is None and not self.causal:
            logs = scores.sub_(peak[..., None])
            torch.softmax(logs, -1, out=weights)
            return Tile(at, keys, weights, logs, -weights.amax(-1).log(), peak)
        low, blind = torch.finfo(self.wide).min, peak.isneginf()
        logs = scores.sub_(peak.clamp(min=low)[..., None]).clamp_(min=low)
        torch.softmax(logs, -1, out=weights)
        if bool(blind.any()):
            weights.masked_fill_(blind[..., None], 0.0)
        return Tile(at, keys, weights, logs, -weights.amax(-1).masked_fill(blind, 1.0).log(), peak)


@dataclass(frozen=True, slots=True)
class Weighed(Call):
    """A call of attention whose weights are there already: of additive scores, or made step by step."""

    given: Float[Tensor, "b h t s"]

    @property
    def shape(self) -> tuple[int, int, int, int]:  # type: ignore[override]
        """Rows of the batch, heads, queries, keys."""
        b, h, t, s = self.given.shape
        return b, h, t, s

    @property
    def dtype(self) -> torch.dtype:  # type: ignore[override]
        """The type of its weights."""
        return self.given.dtype

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where its weights lie."""
        return self.given.device

    def take(self, at: Int[Tensor, "n"]) -> "Weighed":
        """Return the call of the chosen queries alone."""
        return Weighed(self.given.index_select(2, at))

    def walk(self) -> Iterator[Tile]:
        """Return the tiles; to be read inside `exactly`."""
        for rows in _cuts(0, self.n_queries, ROWS):
            at = (slice(0, self.shape[0]), slice(0, self.shape[1]), rows)
            weights = self.given[at].to(self.wide)
            logs = weights.clamp(min=torch.finfo(self.wide).tiny).log_()
            yield Tile(at, slice(0, self.n_keys), weights, logs, logs.new_zeros(logs.shape[:3]), None)


@contextmanager
def exactly(call: Call) -> Iterator[None]:
    """Compute without gradients, and products in full, whatever precision the net runs in."""
    with torch.no_grad(), torch.autocast(call.device.type, enabled=False):
        yield


def _multiply(q: Float[Tensor, "n t d"], k: Float[Tensor, "n s d"], room: Tensor) -> Float[Tensor, "n t s"]:
    """Return q kᵀ, by oneDNN where it is faster (`ops.linear`); several products lie in `room`."""
    if not is_onednns(q):
        return torch.bmm(q, k.mT, out=room)
    if q.size(0) == 1:
        return linear(q[0], k[0])[None]
    return torch.stack([linear(x, y) for x, y in zip(q, k, strict=True)], out=room)


def _cuts(begin: int, end: int, n: int) -> Iterator[slice]:
    return (slice(i, min(i + n, end)) for i in range(begin, end, n))


def _over(x: Tensor, at: tuple[slice, slice, slice], keys: slice) -> Tensor:
    """Return the part of a mask or bias that lies over a tile, still of size 1 where it is spread."""
    x = x[(None,) * (4 - x.dim())]
    return x[tuple(slice(None) if n == 1 else part for n, part in zip(x.shape, (*at, keys), strict=True))]


def _check(call: Scored) -> None:
    b, h, t, s = call.shape
    if call.mask is not None and call.bias is not None:
        raise ShapeError("Attention takes a mask or a bias, not both: put the mask into the bias as -inf.")
    if h % call.k.size(1):
        raise ShapeError(f"{h} query heads cannot share {call.k.size(1)} key heads evenly.")
    if call.causal and t > s:
        raise ShapeError(f"causal=True takes the queries for the last of the keys; here are {t} queries, {s} keys.")
    if call.lengths is not None and not (b == 1 and sum(call.lengths) == t == s):
        raise ShapeError(f"Lengths {call.lengths} do not lay out {b} rows of {t} queries and {s} keys.")
