"""From what was seen in one pass to the maps of a trace and their tensors."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from qkv.base.errors import UnsupportedError
from qkv.inside.condense import BUDGET, Arrays, Store, choose_stores, condense, condense_windows
from qkv.inside.contents import Map
from qkv.inside.cuts import Cut
from qkv.inside.operands import SMALL, count_bytes, keep_operands, keep_operands_of_windows
from qkv.inside.streams import Stream
from qkv.inside.trace import Trace
from qkv.models.family import MapSpec
from qkv.ops.tiles import Call, Scored

CODE = """import qkv

model = qkv.load({name!r})
with qkv.look(model) as seen:
    model({given})
seen.show()
"""


class Recorded(NamedTuple):
    """The maps of a pass, and their tensors by name."""

    maps: tuple[Map, ...]
    tensors: Arrays


def make_trace(seen: Any, *, name: str | None = None, random: bool | None = None, **how: Any) -> Trace:
    """Return what a look saw of one input: the file behind the explorer's page.

    The input must have gone through the model, not through its net alone: UnsupportedError otherwise. name: of the
    model, as `qkv.load` takes it. random: whether it never learned, unless the model shall say it. how: as in `record`.
    """
    if len(seen.entered) != 1:
        raise UnsupportedError(
            f"{len(seen.entered)} inputs went through the model, and one can be shown: open a look for each of them, "
            'and call the model inside it, as in model("a text"); of a net alone nobody knows the tokens.'
        )
    shown, said, about, spelled = seen.entered[0]
    about = replace(about, name=name or about.name, random=about.random if random is None else random)
    maps, tensors = record(seen, shown.streams, **how)
    used = {one.key for one in maps}
    return Trace(
        model=about,
        title=shown.title,
        code=CODE.format(name=about.name, given=spelled),
        streams=tuple(stream for stream in shown.streams if stream.name != "prefix" or stream.name in used),
        maps=maps,
        tensors=tensors,
        outputs=shown.say(said),
        gold=shown.gold,
    )


def record(
    seen: Any, streams: Sequence[Stream], *, exact: bool = False, top: int = 16, qk: bool | None = None
) -> Recorded:
    """Return the maps that a look saw of one pass over one input.

    exact: keep every weight, whatever a page may hold; `top` is how many of each row are kept otherwise. qk: keep
    queries, keys and values; unless given, where they are few and the look kept the values.
    """
    by_name = {stream.name: stream for stream in streams}
    cut_of = seen.cut_of
    calls = {spec: seen.call(spec.layer, spec.kind, spec.query_stream) for spec in seen.watched}
    whole = [spec for spec in calls if spec not in cut_of or bool((cut_of[spec].places >= 0).all())]
    scored = {spec: call for spec in whole if isinstance(call := calls[spec], Scored)}
    few = seen.has_values and sum(map(count_bytes, scored.values())) <= SMALL
    plain = [spec for spec in calls if spec not in cut_of]
    chosen = choose_stores([calls[x].shape[1:] for x in plain], top=top, budget=sys.maxsize if exact else BUDGET)
    stores: dict[MapSpec, Store] = dict(zip(plain, chosen, strict=True))
    maps, tensors = [], {}
    for spec, call in calls.items():
        cut, query, key = cut_of.get(spec), by_name[spec.query_stream], by_name[_keys_of(spec)]
        found = condense_windows(call, cut) if cut else condense(call, stores[spec], query, key, top=top)
        if (few if qk is None else qk) and spec in scored:
            values = seen.values(spec.layer, spec.kind, spec.query_stream)
            found |= keep_operands_of_windows(scored[spec], values, cut) if cut else keep_operands(scored[spec], values)
        store, heads = stores.get(spec, "windows"), seen.watched[spec]
        one = _describe(str(seen.maps.index(spec)), spec, call, store, cut, heads, len(query))
        maps.append(replace(one, qk="q" in found))
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
