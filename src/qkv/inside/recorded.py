"""From what was seen in one pass to the maps of a trace and their tensors."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from qkv.base.errors import ConfigError
from qkv.inside.condense import BUDGET, Arrays, Store, choose_stores, condense, condense_windows
from qkv.inside.contents import Map
from qkv.inside.cuts import Cut
from qkv.inside.look import Seen
from qkv.inside.streams import Stream
from qkv.models.family import MapSpec
from qkv.ops.tiles import Call, Scored, Weighed


class Recorded(NamedTuple):
    """The maps of a pass, and their tensors by name."""

    maps: tuple[Map, ...]
    tensors: Arrays


def record(
    seen: Seen,
    cuts: Sequence[Cut],
    streams: Sequence[Stream],
    *,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    exact: bool = False,
    top: int = 16,
) -> Recorded:
    """Return what a trace keeps of one pass over one input.

    layers, heads: those to keep, all unless given. exact: keep every weight, whatever a page may hold; `top` is how
    many of each row are kept otherwise.
    """
    by_name = {stream.name: stream for stream in streams}
    cut_of = dict(zip([spec for spec in seen.maps if spec.window], cuts, strict=True))
    chosen = [spec for spec in seen.maps if layers is None or spec.layer in layers]
    if not chosen and seen.maps:
        raise ConfigError(f"There is no layer {list(layers or ())}; there are 0 to {seen.maps[-1].layer}.")
    calls = [_call(seen, spec, heads) for spec in chosen]
    whole = [call.shape[1:] for spec, call in zip(chosen, calls, strict=True) if spec not in cut_of]
    stores = iter(choose_stores(whole, top=top, budget=sys.maxsize if exact else BUDGET))
    maps, tensors = [], {}
    for spec, call in zip(chosen, calls, strict=True):
        cut, query, key = cut_of.get(spec), by_name[spec.query_stream], by_name[_keys_of(spec)]
        store = "windows" if cut else next(stores)
        found = condense_windows(call, cut) if cut else condense(call, store, query, key, top=top)
        one = _describe(str(seen.maps.index(spec)), spec, call, store, cut, heads, len(query))
        maps.append(one)
        tensors |= {f"{one.id}.{name}": x for name, x in found.items()}
    return Recorded(tuple(maps), tensors)


def _keys_of(spec: MapSpec) -> str:
    """Return the stream of the keys: a target that is written looks at what was read of it."""
    return "prefix" if spec.query_stream == spec.key_stream == "target" else spec.key_stream


def _describe(
    name: str, spec: MapSpec, call: Call, store: Store, cut: Cut | None, heads: Sequence[int] | None, n_tokens: int
) -> Map:
    scored = isinstance(call, Scored)
    (n_heads, t, s) = call.shape[1:]
    if cut:
        t = s = n_tokens = cut.grid[0] * cut.grid[1]
    return Map(
        id=name,
        layer=spec.layer,
        kind=spec.kind,
        query=spec.query_stream,
        key=_keys_of(spec),
        heads=n_heads,
        numbers=None if heads is None else tuple(heads),
        kv_heads=call.k.size(1) if scored else spec.kv_heads or n_heads,
        d_head=call.q.size(-1) if scored else None,
        scale=(call.q.size(-1) ** -0.5 if call.scale is None else call.scale) if scored else None,
        causal=call.causal if scored else False,
        window=cut.window if cut else None,
        shift=cut.shift if cut else None,
        grid=cut.grid if cut else None,
        store=store,
        rows=t,
        columns=s,
        missing_rows=n_tokens - t,
    )


def _call(seen: Seen, spec: MapSpec, heads: Sequence[int] | None) -> Call:
    weights = seen.weights(spec.layer, spec.kind, spec.query_stream)
    return Weighed(weights if heads is None else weights[:, list(heads)])
