"""What was seen of a run: queries and keys of every map, and whatever is asked of them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.inside.cuts import Cut
from qkv.inside.listening import Track
from qkv.inside.page import Page
from qkv.inside.recorded import make_trace
from qkv.inside.shown import Entered
from qkv.inside.trace import Trace
from qkv.models.family import MapSpec
from qkv.ops import facts
from qkv.ops.tiles import Call


class Seen:
    """Every map that was looked at, exact and made when it is asked for.

    All that is asked takes the layer first, then kind ("self" or "cross") and stream (of the queries) where a layer has
    several: "cross" and "target" unless given. Shapes: b batch, h heads that were watched, t queries, s keys; head= one
    of them alone, by its number in the net, (b, t, …). Of a decode with several hypotheses rows= says whose is meant:
    `Hypothesis.rows`. maps: what the net has; only those that were watched and ran can be asked for.
    """

    def __init__(self, maps: Sequence[MapSpec], tracks: dict[MapSpec, Track]) -> None:
        self.maps = tuple(maps)
        self._tracks = tracks
        self.cuts: list[Cut] = []
        self.entered: list[Entered] = []

    def call(
        self, layer: int, kind: str | None = None, stream: str | None = None, *, rows: Sequence[int] | None = None
    ) -> Call:
        """Return queries, keys and who may look at whom: what `ops.facts` reads. Steps of a decode are joined."""
        return self._track(layer, kind, stream).run().call(rows)

    def values(
        self, layer: int, kind: str | None = None, stream: str | None = None, *, rows: Sequence[int] | None = None
    ) -> Float[Tensor, "b g s e"]:
        """Return the values that the weights mix, if the look was opened with values=True."""
        return self._track(layer, kind, stream, "values").run().values(rows)

    def weights(
        self, layer: int, kind: str | None = None, stream: str | None = None, *, head: int | None = None, **which: Any
    ) -> Float[Tensor, "b *h t s"]:
        """Return all weights (b, h, t, s): O(t s) memory."""
        track = self._track(layer, kind, stream)
        return track.one(track.run().call(**which).weights(), head)

    def stitched(
        self, rows: Sequence[int], layer: int, kind: str | None = None, stream: str | None = None
    ) -> Float[Tensor, "h t s"]:
        """Return the weights (h, t, s) that lay behind each token of an output that was searched for inside `look`.

        A beam moves between rows as the search goes on; a hypothesis knows which of the rows wrote each of its tokens.
        Self-attention has zeros for the keys that were not there yet; the prompt's own rows come first.
        """
        return self.weights(layer, kind, stream, rows=rows)[0]

    def rows(self, at: Sequence[int], layer: int, *where: str, **which: Any) -> Float[Tensor, "b *h n s"]:
        """Return the weights of the chosen queries."""
        track, head = self._track(layer, *where), which.pop("head", None)
        call = track.run().call(**which)
        return track.one(call.rows(torch.tensor(at, device=call.device)), head)

    def block(self, queries: slice, keys: slice, layer: int, *where: str, **which: Any) -> Float[Tensor, "b *h n m"]:
        """Return the weights of some queries on some keys."""
        track, head = self._track(layer, *where), which.pop("head", None)
        return track.one(facts.block(track.run().call(**which), queries, keys), head)

    def entropy(self, layer: int, *where: str, **which: Any) -> Float[Tensor, "b *h t"]:
        """Return how spread each query's weights are, in nats."""
        return self._fact("entropy", None, layer, *where, **which)

    def received(self, layer: int, *where: str, r: Tensor | None = None, **which: Any) -> Float[Tensor, "b *h s"]:
        """Return what each key was given by all queries; with r (b, t, n), A^T r (b, h, s, n)."""
        return self._fact("received", r, layer, *where, **which)

    def top(self, layer: int, *where: str, k: int = 10, **which: Any) -> tuple[Tensor, Tensor]:
        """Return each query's k largest weights, and the keys they lie on, (b, h, t, k)."""
        return self._fact("top", k, layer, *where, **which)

    def distance(self, layer: int, *where: str, places: Tensor | None = None, **which: Any) -> Float[Tensor, "b *h t"]:
        """Return how far each query looks in the mean: |i - j|, or the distance of the tokens' places (s, c)."""
        return self._fact("distance", places, layer, *where, **which)

    def pooled(self, size: tuple[int, int], layer: int, *where: str, **which: Any) -> Float[Tensor, "b *h y x"]:
        """Return a map of at most so many rows and columns: the mean weight of each cell."""
        return self._fact("pooled", size, layer, *where, **which)

    def logsumexp(self, layer: int, *where: str, **which: Any) -> Float[Tensor, "b *h t"]:
        """Return the logarithm of what each query's exponentials sum to."""
        return self._fact("logsumexp", None, layer, *where, **which)

    def mass(self, keys: Bool[Tensor, "*b s"], layer: int, *where: str, **which: Any) -> Float[Tensor, "b *h t"]:
        """Return how much of each query's weight lies on the marked keys: a segment, the special tokens."""
        return self._fact("gathered", keys[..., None].float(), layer, *where, **which)[..., 0]

    def summarise(self, asked: facts.Asked) -> dict[MapSpec, dict[str, Any]]:
        """Return several facts of every map that was seen, for one pass over each: `ops.facts.summarise`."""
        names, found = facts.read_asked(asked), {}
        for spec, track in self._tracks.items():
            if track.runs and track.asked:
                found[spec] = {name: self._fact(name, None, *spec[:3]) for name in names}
            elif track.runs:
                found[spec] = facts.summarise(track.run().call(), names)
        return found

    def picture_map(
        self, layer: int, place: int, *, picture: int = 0, grid: tuple[int, int] | None = None
    ) -> Float[Tensor, "h y x"]:
        """Return how much one token looks at each patch of the whole picture, row by row as the layer sees it.

        place: the token's number: a patch's in its row-by-row order, after the tokens that stand for no patch, if there
        are any. Windows are put back where they were cut; what lies outside the token's own is zero. grid: rows and
        columns of patches, those of a picture as large as the configuration says unless given.
        """
        track = self._track(layer)
        call, cut = track.run().call(), self.cut_of.get(track.spec)
        if cut is None:
            y, x = grid or track.spec.grid or (0, 0)
            return call.rows(torch.tensor([place], device=call.device))[picture, :, 0, -y * x :].unflatten(-1, (y, x))
        if grid not in (None, cut.grid) or not 0 <= place < math.prod(cut.grid):
            wanted = f"place {place}" if grid in (None, cut.grid) else f"a map of {grid}"
            raise ConfigError(f"This layer sees a map of {cut.grid} places, in rows and columns; it has not {wanted}.")
        window, inside = (cut.places == place).nonzero()[0].tolist()
        at = torch.tensor([inside], device=call.device)
        row = call.rows(at)[picture * len(cut.places) + window, :, 0].cpu()
        there = cut.places[window] >= 0
        shown = row.new_zeros(row.size(0), math.prod(cut.grid))
        return shown.index_copy(1, cut.places[window][there], row[:, there]).unflatten(1, cut.grid)

    @property
    def cut_of(self) -> dict[MapSpec, Cut]:
        """How each windowed map was cut in the one pass that was seen."""
        return dict(zip([spec for spec in self.maps if spec.window], self.cuts, strict=True))

    @property
    def watched(self) -> dict[MapSpec, list[int] | None]:
        """The maps that were watched and ran, and which of their heads; None for all."""
        return {spec: track.heads for spec, track in self._tracks.items() if track.runs}

    @property
    def has_values(self) -> bool:
        """Whether values were kept, too."""
        return all(track.values for track in self._tracks.values())

    def count(self) -> dict[MapSpec, int]:
        """Return how many runs were seen of each map so far."""
        return {spec: len(track.runs) for spec, track in self._tracks.items()}

    def forget_since(self, count: dict[MapSpec, int]) -> None:
        """Forget all runs but the first so many."""
        for spec, n in count.items():
            del self._tracks[spec].runs[n:]

    def trace(self, **options: Any) -> Trace:
        """Return what was seen of one input that went through the model, to be saved: `inside.recorded.make_trace`."""
        return make_trace(self, **options)

    def show(self, **options: Any) -> Page:
        """Return the explorer's page of what was seen: notebooks show it, and it can be saved. options: of `trace`."""
        trace = self.trace(**options)
        return Page(trace.to_bytes(), trace.title)

    def _repr_html_(self) -> str | None:
        return self.show()._repr_html_() if len(self.entered) == 1 else None

    def _fact(self, name: str, argument: Any, layer: int, *where: str, head: int | None = None, **which: Any) -> Any:
        track = self._track(layer, *where, what=name)
        if track.asked:
            found = _join(name, [step[name] for step in track.run().facts])
        else:
            found = facts.summarise(track.run().call(**which), {name: argument})[name]
        return tuple(track.one(x, head) for x in found) if isinstance(found, tuple) else track.one(found, head)

    def _track(self, layer: int, kind: str | None = None, stream: str | None = None, what: str = "call") -> Track:
        ran = [spec for spec, track in self._tracks.items() if track.runs]
        fit = [s for s in ran if s.layer == layer and kind in (None, s.kind) and stream in (None, s.query_stream)]
        if not fit:
            there = ", ".join(f"{s.query_stream} {s.kind} {s.layer}" for s in ran) or "none"
            asked = " ".join(word for word in (stream, kind) if word)
            raise ConfigError(f"No {asked or 'such'} map of layer {layer} was seen; seen were: {there}.")
        track = self._tracks[max(fit, key=lambda s: (s.kind == "cross", s.query_stream == "target"))]
        if track.asked and what not in track.asked:
            raise UnsupportedError(f"Only {', '.join(track.asked)} were kept: open a look without facts, or with more.")
        if what == "values" and not track.values:
            raise UnsupportedError("Values were not kept: open the look with values=True.")
        return track


def _join(name: str, steps: list[Any]) -> Any:
    """Return a fact of all steps of one decode: rows under each other, what keys received in sum."""
    if len(steps) == 1:
        return steps[0]
    if any(x.size(0) > 1 for step in steps for x in (step if isinstance(step, tuple) else (step,))):
        raise UnsupportedError("Facts of a decode of several hypotheses are not kept: open a look without facts.")
    if name == "received":
        n = max(step.size(2) for step in steps)
        return torch.stack([F.pad(step, (0, n - step.size(2))) for step in steps]).sum(0)
    if name == "pooled":
        raise UnsupportedError("The map of a decode is not pooled step by step: open a look without facts.")
    if isinstance(steps[0], tuple):
        return tuple(torch.cat(parts, 2) for parts in zip(*steps, strict=True))
    return torch.cat(steps, 2)
