"""Find the seats of a net, the places where queries meet keys, say which map each of them makes, and listen there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models import family_of
from qkv.models.family import MapSpec
from qkv.nn.attention import Attend, Attention
from qkv.nn.scores import Weigh


class Seat(NamedTuple):
    """A seat, the map it makes, and the layer of projections around it, which additive attention has not."""

    spec: MapSpec
    module: Attend | Weigh
    attention: Attention | None


def net_of(model: Any) -> Any:
    """Return the net of a model; a net is its own."""
    return model if isinstance(model, nn.Module) else model.net


def find_seats(model: Any) -> list[Seat]:
    """Return the seats of a model or a net in call order; the heads of their maps are those that are there today."""
    net: Any = net_of(model)
    around: dict[nn.Module, Attention] = {
        module.attend: module for module in net.modules() if isinstance(module, Attention)
    }
    seats = [module for module in net.modules() if isinstance(module, Attend | Weigh)]
    pairs = zip(family_of(net).maps(net.cfg), seats, strict=True)
    return [Seat(_as_it_is(spec, around.get(seat)), seat, around.get(seat)) for spec, seat in pairs]


def choose_seat(seats: Sequence[Seat], layer: int, kind: str | None = None, stream: str | None = None) -> Seat:
    """Return the seat of a layer; kind and stream (of the queries) where there is a choice: else "cross", "target"."""
    kinds, streams = ({getattr(seat.spec, name) for seat in seats} for name in ("kind", "query_stream"))
    kind = kind or (kinds.pop() if len(kinds) == 1 else "cross")
    stream = stream or (streams.pop() if len(streams) == 1 else "target")
    for seat in seats:
        if (seat.spec.layer, seat.spec.kind, seat.spec.query_stream) == (layer, kind, stream):
            return seat
    last = {(seat.spec.query_stream, seat.spec.kind): seat.spec.layer for seat in seats}
    there = ", ".join(f"{stream} {kind} 0 to {layer}" for (stream, kind), layer in last.items()) or "none"
    raise ConfigError(f"No {stream} {kind} map of layer {layer} is in this net; there are: {there}.")


@contextmanager
def hooked(model: Any, hooks: Mapping[Seat, Callable[..., Any]], *, before: bool = False) -> Iterator[None]:
    """Let hooks hear each call of their seats, (module, inputs, output); what they return takes the output's place.

    before: they hear it before it runs, (module, inputs), and what they return takes the inputs' place. Compiled parts
    run eagerly meanwhile: hooks inside them are ignored in silence.
    """
    if net_of(model).training:
        raise UnsupportedError("Nets are not looked into or changed while they are trained: call net.eval() first.")
    handles = [
        (seat.module.register_forward_pre_hook if before else seat.module.register_forward_hook)(hook)
        for seat, hook in hooks.items()
    ]
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def differentiable(model: Any) -> Iterator[None]:
    """Record gradients of what runs inside the block, but none of weights: those take a third of a backward."""
    learning = [parameter for parameter in net_of(model).parameters() if parameter.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        with torch.enable_grad():
            yield
    finally:
        for parameter in learning:
            parameter.requires_grad_()


def is_touched(net: Any) -> bool:
    """Tell whether anything listens at the seats of a net, or changes what they hear or say."""
    seats = (module for module in net.modules() if isinstance(module, Attend | Weigh))
    return any(seat._forward_hooks or seat._forward_pre_hooks for seat in seats)


def check_heads(spec: MapSpec, heads: Sequence[int]) -> None:
    """Raise ConfigError if one of these heads is not there."""
    if wrong := [head for head in heads if not 0 <= head < spec.heads]:
        raise ConfigError(
            f"Layer {spec.layer} ({spec.query_stream} {spec.kind}) has heads 0 to {spec.heads - 1}; "
            f"there is no head {', '.join(map(str, wrong))}."
        )


def _as_it_is(spec: MapSpec, attention: Attention | None) -> MapSpec:
    if attention is None:
        return spec
    heads, shared, _ = (size // attention.d_head for size in attention.sizes)
    return spec._replace(heads=heads, kv_heads=shared if shared < heads else None)
