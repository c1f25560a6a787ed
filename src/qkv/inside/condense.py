"""What attention did, made small enough for a page: facts of the exact weights, then the weights themselves, rounded.

A weight becomes a byte, a share of the largest of its row: an error of at most 1/255 of that. Where all maps together
are too large for a page, the largest weights of each row are kept, and a map of means at the size of a screen.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from qkv.inside.cuts import Cut
from qkv.inside.streams import PictureStream, Stream
from qkv.ops.facts import summarise
from qkv.ops.tiles import Call, Weighed

POOLED = 128
FACTS = ("entropy", "received", "distance", "special")
BUDGET = 6_000_000  # bytes of all weights: 144 heads of 197 tokens fit
Store = Literal["weights", "top", "windows"]
Arrays = dict[str, np.ndarray]


def choose_stores(shapes: Sequence[tuple[int, int, int]], *, top: int, budget: int = BUDGET) -> list[Store]:
    """Say for each map of (heads, rows, columns) whether all its weights are kept, or the largest of each row."""
    if sum(h * t * s for h, t, s in shapes) <= budget:
        return ["weights"] * len(shapes)
    return ["top" if min(t, s) >= POOLED and 6 * top * t + POOLED**2 < t * s else "weights" for _, t, s in shapes]


def condense(call: Call, store: Store, queries: Stream, keys: Stream, *, top: int = 16) -> Arrays:
    """Return the facts and the rounded weights of one text or picture, by the names they have in a trace."""
    asked = _asked(find_special(keys, call.n_keys), find_places(keys, call.n_keys) if queries is keys else None, None)
    if store == "weights":
        found = summarise(call, asked)
        kept = _as_bytes(call)
    else:
        found = summarise(call, asked | {"top": top, "pooled": (POOLED, POOLED)})
        values, indices = found["top"]
        kept = {"top.values": values.half(), "top.indices": indices.to(torch.uint32)}
        kept |= dict(zip(("pooled", "pooledmax"), to_bytes(found["pooled"]), strict=True))
    said = {name: x[0] for name, x in (_named(found) | kept).items()}
    said["diagonal"] = said.pop("near").mean(-1)
    return {name: x.cpu().numpy() for name, x in said.items()}


def condense_windows(call: Call, cut: Cut) -> Arrays:
    """Return the same of a map cut into windows, each a row of the batch.

    Facts are of the places of the map: queries in the padding count for nothing, keys there are special.
    """
    weights = torch.cat([weights for _, weights in call.tiles()], 2)
    line = torch.cartesian_prod(*(torch.arange(float(n)) for n in cut.window)).view(-1, 2)
    map_of = weights.new_zeros(5, weights.size(1), cut.grid[0] * cut.grid[1])
    for real in (cut.places >= 0).unique(dim=0):  # windows at an edge are padded in one of few ways
        here = ((cut.places >= 0) == real).all(1).nonzero()[:, 0]
        asked = _asked(~real, line.masked_fill(~real[:, None], torch.nan), real.float()[:, None])
        found = _named(summarise(Weighed(weights[here]), asked))
        for row, name in zip(map_of, (*FACTS, "near"), strict=True):
            row[:, cut.places[here][:, real]] = found[name].transpose(0, 1)[:, :, real]
    facts = dict(zip((*FACTS, "near"), map_of, strict=True))
    said = facts | {"diagonal": facts.pop("near").mean(-1), "places": cut.places.int()}
    said |= {name: x.transpose(0, 1).contiguous() for name, x in _as_bytes(Weighed(weights)).items()}
    return {name: x.cpu().numpy() for name, x in said.items()}


def _asked(special: Tensor, places: Tensor | None, real: Tensor | None) -> dict[str, Any]:
    facts = {"entropy": None, "received": real, "gathered": special.float()[:, None], "distance": places}
    return facts | {"near": 1}


def _named(found: dict[str, Any]) -> dict[str, Tensor]:
    """Return facts under the names that a trace has for them."""
    received = found["received"]
    return {
        "entropy": found["entropy"].float(),
        "received": (received if received.dim() == 3 else received[..., 0]).float(),
        "distance": found["distance"].float(),
        "special": found["gathered"][..., 0].float(),
        "near": found["near"].float(),
    }


def _as_bytes(call: Call) -> dict[str, Tensor]:
    parts = [to_bytes(weights) for _, weights in call.tiles()]
    return {"weights": torch.cat([x for x, _ in parts], 2), "rowmax": torch.cat([x for _, x in parts], 2)}


def to_bytes(w: Float[Tensor, "*n s"]) -> tuple[Tensor, Tensor]:
    """Return each weight as a share of the largest of its row, 255 being all of it, and the largest, in fp16."""
    largest = w.amax(-1).half()
    shares = w.float() / largest.float().clamp(min=torch.finfo(torch.float32).tiny)[..., None]
    return (shares * 255).round().clamp(0, 255).byte(), largest


def find_special(stream: Stream, n: int) -> Bool[Tensor, "n"]:
    """Tell which of the first n tokens of a stream stand for nothing in the input."""
    if isinstance(stream, PictureStream):
        return torch.arange(n) < len(stream) - stream.grid[0] * stream.grid[1]
    return torch.tensor(stream.special[:n], dtype=torch.bool)


def find_places(stream: Stream, n: int) -> Float[Tensor, "n c"]:
    """Return where the tokens of a stream stand, along the text or in rows and columns of patches; NaN for special."""
    at = torch.arange(float(n))[:, None]
    special = find_special(stream, n)
    if isinstance(stream, PictureStream):
        at = torch.zeros(n, 2)
        at[~special] = torch.cartesian_prod(*(torch.arange(float(side)) for side in stream.grid)).view(-1, 2)
    return at.masked_fill(special[:, None], torch.nan)
