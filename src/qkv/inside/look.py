"""Watch the seats of attention: what every query looked at, without changing how the net runs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models import family_of
from qkv.models.family import MapSpec
from qkv.nn.attention import Attend
from qkv.nn.scores import Weigh
from qkv.ops.attend import attend_weights

_ONE_AT_A_TIME = threading.Lock()


class Seen:
    """The attention weights of what ran inside `look`, in the order of the family's maps."""

    def __init__(self, maps: Sequence[MapSpec]) -> None:
        self.maps = tuple(maps)
        self._calls: dict[MapSpec, list[Tensor]] = {}

    def weights(self, layer: int, kind: Literal["self", "cross"] = "cross", stream: str = "target") -> Tensor:
        """Return the weights (b, h, t, s) of the one pass that was watched; `stream` is that of the queries."""
        calls = self._calls[spec := self._spec(layer, kind, stream)]
        if len(calls) > 1 and not spec.steps:
            raise UnsupportedError(
                f"{len(calls)} passes were seen, weights shows one: open a look for each, or stitch a search."
            )
        return torch.cat(calls, 2)

    def stitched(self, rows: Sequence[int], layer: int, kind: Literal["self", "cross"] = "cross") -> Tensor:
        """Return the weights (h, t, s) that lay behind each token of an output that was searched for inside `look`.

        A beam moves between rows as the search goes on; a hypothesis knows which of the rows wrote each of its tokens.
        Self-attention has zeros for the keys that were not there yet.
        """
        calls = self._calls[self._spec(layer, kind, "target")]
        found = [call.transpose(1, 2).flatten(0, 1)[row] for call, row in zip(calls, rows, strict=False)]
        n_keys = max(row.size(-1) for row in found)
        return torch.stack([F.pad(row, (0, n_keys - row.size(-1))) for row in found], 1)

    def _spec(self, layer: int, kind: str, stream: str) -> MapSpec:
        for spec in self._calls:
            if (spec.layer, spec.kind, spec.query_stream) == (layer, kind, stream):
                return spec
        there = ", ".join(f"{s.query_stream} {s.kind} {s.layer}" for s in self._calls) or "none"
        raise ConfigError(f"No {stream} {kind} map of layer {layer} was seen; seen were: {there}.")


@contextmanager
def look(model: Any, *, kinds: Sequence[str] = ("self", "cross")) -> Iterator[Seen]:
    """Record the attention weights of every pass that a model, or a net, makes inside the `with` block.

    kinds: which maps to keep. The net runs its fast path unchanged; compiled parts run eagerly meanwhile. One look at
    a time, and only at nets in eval mode: UnsupportedError otherwise.
    """
    net: Any = model if isinstance(model, nn.Module) else model.net
    if net.training:
        raise UnsupportedError("look wants a net that is not being trained: call net.eval() first.")
    family: Any = family_of(net)
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise UnsupportedError("Another look is open in this process: close it first.")
    seen, hooks = Seen(family.maps(net.cfg)), []
    seats = [module for module in net.modules() if isinstance(module, Attend | Weigh)]
    try:
        for seat, spec in zip(seats, seen.maps, strict=True):
            if spec.kind in kinds:
                hooks.append(seat.register_forward_hook(_listener(seen, spec)))
        with torch.compiler.set_stance("force_eager"):
            yield seen
    finally:
        for hook in hooks:
            hook.remove()
        _ONE_AT_A_TIME.release()


def _listener(seen: Seen, spec: MapSpec) -> Any:
    """Return a hook that files each call of a seat under its map."""

    def listen(seat: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        weights = output[1][:, None] if isinstance(seat, Weigh) else _weights(seat, *inputs)
        seen._calls.setdefault(spec, []).append(weights.detach())

    return listen


@torch.no_grad()
def _weights(seat: nn.Module, q: Tensor, k: Tensor, v: Tensor, where: Any) -> Float[Tensor, "b h t s"]:
    if where.lengths is not None:  # texts end to end in one row: none sees another
        alone = where._replace(lengths=None)
        parts = zip(*(x.split(list(where.lengths), 2) for x in (q, k, v)), strict=True)
        squares = [_weights(seat, a, b, c, alone)[0] for a, b, c in parts]
        return torch.stack([torch.block_diag(*heads) for heads in zip(*squares, strict=True)])[None]
    return attend_weights(q, k, v, mask=where.mask, bias=where.bias, causal=where.causal, scale=seat.scale)[1]  # type: ignore[arg-type]
