"""Remove heads of attention for good: a smaller net that says the same as the old one with those heads at zero."""

import copy
import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.inside.seats import Seat, check_heads, choose_seat, find_seats, is_touched, net_of
from qkv.models import family_of
from qkv.models.empty import build_empty

Removed = tuple[str, str, int, tuple[int, ...]]  # stream of the queries, kind, layer, heads as numbered until then


def prune(model: Any, heads: Collection[tuple[int, int]], *, kind: str | None = None, stream: str | None = None) -> Any:
    """Return a model, or a net, without these heads, (layer, head); what is left is numbered anew from 0.

    Rows of W_Q, W_K and W_V and columns of W_O are gone. kind and stream as in `Seen.call`. Grouped keys and values go
    with the last head that reads them, and each group of a layer keeps equally many heads, or none. A net whose layers
    lose equally many is an ordinary net if its configuration can say so (Llama's `d_head`); any other remembers what it
    lost, is saved and loaded by qkv, and is written into public formats with zeros in the gaps (`full_state`): none can
    hold layers of different widths. Raises ConfigError for heads that are not there, or are a layer's last.
    """
    if is_touched(net_of(model)):
        raise UnsupportedError(
            "Heads are removed outside of look and edit_heads: what listens now would be copied, too."
        )
    net: Any = copy.deepcopy(net_of(model))
    seats = find_seats(net)
    chosen = [choose_seat(seats, layer, kind, stream) for layer, _ in heads]
    lost = {seat: tuple(sorted({h for layer, h in heads if layer == seat.spec.layer})) for seat in chosen}
    remove(net, [(s.spec.query_stream, s.spec.kind, s.spec.layer, gone) for s, gone in lost.items()])
    return net if isinstance(model, nn.Module) else dataclasses.replace(model, net=net)


def remove(net: nn.Module, removed: Iterable[Removed]) -> None:
    """Remove heads from a net, in place and in this order, and let it remember them."""
    removed = tuple(removed)
    for stream, kind, layer, heads in removed:
        seat = choose_seat(find_seats(net), layer, kind, stream)
        check_heads(seat.spec, heads)
        left = [head for head in range(seat.spec.heads) if head not in heads]
        if seat.attention is None or not left:
            raise ConfigError(f"Layer {layer} ({stream} {kind}) would have no head left: keep one at least.")
        try:
            seat.attention.keep(left)
        except ShapeError as error:
            raise ConfigError(f"Layer {layer} ({stream} {kind}): {error}") from None
    if not removed:
        return
    if (cfg := _as_config(net.cfg, find_seats(net))) is None:
        net.removed = (*removed_from(net), *removed)  # type: ignore[assignment]
    else:
        net.cfg, net.removed = cfg, ()  # type: ignore[assignment]


def removed_from(net: nn.Module) -> tuple[Removed, ...]:
    """Return what was removed from a net beyond what its configuration says, in the order of removal."""
    return getattr(net, "removed", ())


def full_state(net: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a net in the shapes its configuration says, zero where heads were removed.

    A head of zeros adds nothing, so that the function is the same.
    """
    state = net.state_dict()
    if not removed_from(net):
        return state
    places = build_empty(family_of(net), net.cfg).requires_grad_(False)
    shapes = {name: x.shape for name, x in places.state_dict().items()}
    numbers = {name: torch.arange(shape.numel()).view(shape) for name, shape in shapes.items()}
    places.load_state_dict(numbers, assign=True)  # a net that knows where each of its numbers lay, when heads are gone
    remove(places, removed_from(net))
    for name, at in places.state_dict().items():
        if at.shape != shapes[name]:
            full = state[name].new_zeros(shapes[name].numel())
            state[name] = full.index_copy(0, at.flatten().to(full.device), state[name].flatten()).view(shapes[name])
    return state


def _as_config(cfg: Any, seats: Sequence[Seat]) -> Any:
    """Return the configuration of a net with these seats; None where it has no words for them."""
    widths = {(seat.spec.heads, seat.spec.kv_heads) for seat in seats}
    if not hasattr(cfg, "d_head") or len(widths) > 1:
        return None
    heads, shared = widths.pop()
    d_head = seats[0].attention.d_head  # type: ignore[union-attr]
    try:
        return dataclasses.replace(cfg, n_heads=heads, n_kv_heads=shared or heads, d_head=d_head)
    except ConfigError:
        return None
