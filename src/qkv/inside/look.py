"""Watch the seats of attention: what every query looked at, without changing how the net runs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.inside.cuts import watch_cuts
from qkv.inside.listening import Track
from qkv.inside.seats import check_heads, find_seats, hooked, net_of
from qkv.inside.seen import Seen
from qkv.models.family import Decoder
from qkv.nn.scores import Weigh
from qkv.ops.facts import Asked, read_asked

__all__ = ["Seen", "look"]
_ONE_AT_A_TIME = threading.Lock()
_OPEN: dict[Any, Seen] = {}  # the one that is, by its net


@contextmanager
def look(
    model: Any,
    *,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    kinds: Sequence[str] = ("self", "cross"),
    facts: Asked = (),
    keep: Literal["fp16"] | None = None,
    values: bool = False,
) -> Iterator[Seen]:
    """Record what a model, or a net, looks at in every pass that it makes inside the `with` block.

    Queries and keys are kept, of a decode only the new ones; weights and facts are made of them when they are asked
    for. layers, heads, kinds: what to watch, all unless given. keep: "fp16" halves what is kept. values: keep values,
    too. facts: names, or names with arguments, of what to compute at once, as `ops.facts.summarise` takes them; then
    nothing else is kept. The net runs its fast path unchanged; compiled parts run eagerly meanwhile. One look at a
    time, and only at nets in eval mode: UnsupportedError otherwise.
    """
    asked, seats = read_asked(facts), find_seats(model)
    chosen = [s for s in seats if s.spec.kind in kinds and (layers is None or s.spec.layer in layers)]
    if seats and (missing := set(layers or ()) - {seat.spec.layer for seat in seats}):
        raise ConfigError(f"Layers {sorted(missing)} are not in this net; the last is {seats[-1].spec.layer}.")
    if heads is not None and not heads:
        raise ConfigError("heads is empty: name one at least, or leave it out for all.")
    for seat in chosen:
        check_heads(seat.spec, heads or ())
    tracks = {s.spec: Track(s.spec, heads, asked, half=keep == "fp16", values=values) for s in chosen}
    hooks = {}
    for seat in chosen:
        track = tracks[seat.spec]
        hooks[seat] = track.weigh if isinstance(seat.module, Weigh) else track.attend
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise UnsupportedError("Another look is open in this process: close it first.")
    try:
        seen, net = Seen([seat.spec for seat in seats], tracks), net_of(model)
        with hooked(model, hooks), _prompts(net, list(tracks.values())), watch_cuts(net) as seen.cuts:
            _OPEN[net] = seen
            yield seen
    finally:
        _OPEN.clear()
        _ONE_AT_A_TIME.release()


def find_look(net: Any) -> Seen | None:
    """Return the look that is open at a net, if there is one."""
    return _OPEN.get(net)


@contextmanager
def unwatched(net: Any) -> Iterator[None]:
    """Forget what a net does inside the block, as if no look were open."""
    seen = find_look(net)
    before = seen.count() if seen else {}
    try:
        yield
    finally:
        if seen:
            seen.forget_since(before)


@contextmanager
def _prompts(net: Any, tracks: Sequence[Track]) -> Iterator[None]:
    """Tell the tracks where a decoder's prompt ends, and how many hypotheses go on from it: no seat can know."""
    if not isinstance(net, Decoder):
        yield
        return
    begin = net.begin

    def heard(*args: Any, **options: Any) -> Any:
        read = begin(*args, **options)
        for track in tracks:
            track.prompt_read(options.get("beams", 1))
        return read

    net.begin = heard
    try:
        yield
    finally:
        del net.begin
