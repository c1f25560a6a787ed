"""Hide tokens from all attention while a net runs: nobody, themselves included, can look at them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.inside.seats import find_seats, hooked
from qkv.nn.scores import Weigh
from qkv.nn.where import Where
from qkv.ops.masks import causal_mask


@contextmanager
def hide_tokens(model: Any, places: Sequence[int], stream: str | None = None) -> Iterator[None]:
    """Hide these places of a stream, that of the first map's keys unless given, in every pass inside the `with` block.

    The residual stream still carries a hidden token to its own output. Where all that a query could see is hidden, it
    gathers zeros. Raises ConfigError for a place that a pass has not, UnsupportedError for windows and ragged batches.
    Of a decode that goes on, places may be named before they are written.
    """
    seats = find_seats(model)
    stream = stream or (seats[0].spec.key_stream if seats else None)
    chosen = [seat for seat in seats if seat.spec.key_stream == stream] if places else []
    if any(seat.spec.window for seat in chosen):
        raise UnsupportedError("Windows move over the picture: its places cannot be hidden.")

    def hook(seat: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        if isinstance(seat, Weigh):
            scores, values, *rest = inputs
            seen = _seen(places, scores.size(-1), scores.device)[None]
            return scores, values, seen if not rest or rest[0] is None else rest[0] & seen
        q, k, v, where = inputs
        seen = _seen(places, k.size(2), k.device, grows=where.at is not None)
        return q, k, v, _narrow(where, q.size(2), seen)

    with hooked(model, dict.fromkeys(chosen, hook), before=True):
        yield


def _seen(places: Sequence[int], n: int, device: torch.device, *, grows: bool = False) -> Bool[Tensor, "1 s"]:
    """Return which keys may be seen; grows: there will be more of them."""
    if wrong := [place for place in places if place < 0 or (place >= n and not grows)]:
        raise ConfigError(f"There is no token {wrong[0]} to hide: here are tokens 0 to {n - 1}.")
    seen = torch.ones(1, n, dtype=torch.bool, device=device)
    seen[:, [place for place in places if place < n]] = False
    return seen


def _narrow(where: Where, n_queries: int, seen: Bool[Tensor, "1 s"]) -> Where:
    if where.lengths is not None:
        raise UnsupportedError("Texts that lie end to end in one row share no numbers: hide tokens of one text alone.")
    if where.bias is not None:
        return where._replace(bias=where.bias.masked_fill(~seen, -torch.inf))
    if where.causal:
        return where._replace(causal=False, mask=causal_mask(n_queries, seen.size(1), seen.device) & seen)
    return where._replace(mask=seen if where.mask is None else where.mask & seen)
