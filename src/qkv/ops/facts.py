"""What attention did, without the matrix of its weights: exact facts of one call, by tiles, in O(tokens) memory.

Each fact equals the same sum over `attend_weights`. One pass over the tiles serves as many facts as are asked for:
`summarise`. Numbers are fp32, or fp64 for a call in fp64.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.ops.tiles import Call, Scored, Tile, Weighed, exactly

GROUP = 64  # keys whose largest weight is looked at first, where the largest of many are wanted

Asked = Iterable[str] | Mapping[str, Any]
Add = Callable[[Tile], None]


def summarise(call: Call, facts: Asked) -> dict[str, Any]:
    """Return several facts of one call for one pass over its weights.

    facts: names, as the functions below are called, or names with their arguments: {"entropy": None, "top": 10,
    "pooled": (128, 128), "received": r}. ConfigError for a name that is none.
    """
    with exactly(call):
        made = {name: FACTS[name](call, argument) for name, argument in read_asked(facts).items()}
        for tile in call.walk():
            for _, add in made.values():
                add(tile)
    return {name: out for name, (out, _) in made.items()}


def read_asked(facts: Asked) -> dict[str, Any]:
    """Return the names of facts with their arguments; ConfigError for a name that is none."""
    asked = dict(facts) if isinstance(facts, Mapping) else dict.fromkeys(facts)
    if unknown := asked.keys() - FACTS.keys():
        raise ConfigError(f"{', '.join(sorted(unknown))}: no fact has this name. There are {', '.join(FACTS)}.")
    return asked


def block(call: Call, queries: slice, keys: slice) -> Float[Tensor, "b h n m"]:
    """Return the weights of some queries on some keys."""
    return call.rows(torch.arange(call.n_queries, device=call.device)[queries])[..., keys]


def entropy(call: Call) -> Float[Tensor, "b h t"]:
    """Return how spread each query's weights are, in nats: 0 for one key, log n for n keys alike."""
    return summarise(call, ["entropy"])["entropy"]


def logsumexp(call: Call) -> Float[Tensor, "b h t"]:
    """Return the logarithm of what each query's exponentials sum to; -inf for one that sees no key.

    UnsupportedError for weights that came without scores.
    """
    return summarise(call, ["logsumexp"])["logsumexp"]


def received(call: Call, r: Float[Tensor, "*b t n"] | None = None) -> Float[Tensor, "b h s *n"]:
    """Return what each key was given by all queries, or A^T r: their weights times a vector for each query.

    One row of a rollout is a chain of these. Queries whose r is zero cost nothing.
    """
    if r is not None and (used := r.flatten(0, -3).ne(0).any(-1).reshape(-1, r.size(-2)).any(0)).sum() < r.size(-2) / 2:
        at = used.nonzero()[:, 0]
        call, r = call.take(at), r.index_select(-2, at)
    return summarise(call, {"received": r})["received"]


def gathered(call: Call, r: Float[Tensor, "*b s n"]) -> Float[Tensor, "b h t n"]:
    """Return A r: the mean, under each query's weights, of a vector for each key; of ones and zeros, the mass."""
    return summarise(call, {"gathered": r})["gathered"]


def top(call: Call, k: int) -> tuple[Float[Tensor, "b h t k"], Int[Tensor, "b h t k"]]:
    """Return each query's k largest weights, and the keys they lie on; behind a weight of zero may be any key."""
    return summarise(call, {"top": k})["top"]


def pooled(call: Call, rows: int, columns: int) -> Float[Tensor, "b h y x"]:
    """Return a map small enough for a screen: the mean weight of each cell of at most rows x columns."""
    return summarise(call, {"pooled": (rows, columns)})["pooled"]


def merged(call: Call, queries: Int[Tensor, "t"], keys: Int[Tensor, "s"]) -> Float[Tensor, "b h y x"]:
    """Return the map of words, given which word each token is of, -1 for none: Clark et al. 2019, section 4.1.

    What a word gives is the mean over its tokens, what it is given the sum (https://arxiv.org/abs/1906.04341).
    """
    return summarise(call, {"merged": (queries, keys)})["merged"]


def distance(call: Call, places: Float[Tensor, "n c"] | None = None) -> Float[Tensor, "b h t"]:
    """Return how far each query looks, in the mean: |i - j|, or the distance of the tokens' places.

    A token whose place is NaN is left out: what it gives is 0, what it is given does not count.
    """
    return summarise(call, {"distance": places})["distance"]


def near(call: Call, width: int = 1) -> Float[Tensor, "b h t"]:
    """Return the mass of each query on keys at most `width` places away."""
    return summarise(call, {"near": width})["near"]


def _entropy(call: Call, _: None) -> tuple[Tensor, Add]:
    out = _zeros(call, call.n_queries)

    def add(tile: Tile) -> None:
        out[tile.at] = tile.log_z - _dot(tile.weights, tile.logs)

    return out, add


def _logsumexp(call: Call, _: None) -> tuple[Tensor, Add]:
    if isinstance(call, Weighed):
        raise UnsupportedError("These weights came without scores, so nothing is known of the scores' sum.")
    out = _zeros(call, call.n_queries)

    def add(tile: Tile) -> None:
        out[tile.at] = tile.peak.add(tile.log_z)  # type: ignore[union-attr]

    return out, add


def _received(call: Call, r: Tensor | None) -> tuple[Tensor, Add]:
    n = 1 if r is None else r.size(-1)
    out = _zeros(call, n, call.n_keys)
    given = out.new_ones(call.n_queries, 1) if r is None else r.to(out.dtype)
    given = given.mT.expand(call.shape[0], -1, -1)[:, None]

    def add(tile: Tile) -> None:
        batch, heads, queries = tile.at
        out[batch, heads, :, tile.keys] += given[batch, :, :, queries] @ tile.weights

    return out[:, :, 0] if r is None else out.mT, add


def _gathered(call: Call, r: Tensor) -> tuple[Tensor, Add]:
    out = _zeros(call, call.n_queries, r.size(-1))
    each = r.to(out.dtype).expand(call.shape[0], -1, -1)[:, None]

    def add(tile: Tile) -> None:
        out[tile.at] = tile.weights @ each[tile.at[0], :, tile.keys]

    return out, add


def _top(call: Call, k: int | None) -> tuple[tuple[Tensor, Tensor], Add]:
    k = min(10 if k is None else k, call.n_keys)
    values = _zeros(call, call.n_queries, k)
    indices = torch.zeros_like(values, dtype=torch.long)

    def add(tile: Tile) -> None:
        found, at = _largest(tile.weights, min(k, tile.weights.size(-1)))
        values[tile.at] = F.pad(found, (0, k - found.size(-1)))
        indices[tile.at] = F.pad(at + tile.keys.start, (0, k - found.size(-1)))

    return (values, indices), add


def _largest(x: Float[Tensor, "b h t s"], k: int) -> tuple[Float[Tensor, "b h t k"], Int[Tensor, "b h t k"]]:
    """Return the k largest of each row, largest first: they lie in the k groups of keys of the largest maxima."""
    s = x.size(-1)
    n = s // GROUP
    if n < 4 * k:
        return x.topk(k, -1)
    flat = x.flatten(0, 2)
    groups = flat[:, : n * GROUP].unflatten(1, (n, GROUP))
    best = groups.amax(-1).topk(k, -1, sorted=False).indices
    found = groups[torch.arange(flat.size(0), device=x.device)[:, None], best].flatten(1)
    if n * GROUP < s:
        found = torch.cat((found, flat[:, n * GROUP :]), 1)
    values, at = found.topk(k, -1)
    group = best.gather(1, (at // GROUP).clamp(max=k - 1))
    at = torch.where(at < k * GROUP, group * GROUP + at % GROUP, at + (n - k) * GROUP)
    return values.view(*x.shape[:3], k), at.view(*x.shape[:3], k)


def _pooled(call: Call, size: tuple[int, int]) -> tuple[Tensor, Add]:
    t, s = call.n_queries, call.n_keys
    y, x = min(size[0], t), min(size[1], s)
    out = _zeros(call, y, x)
    down, across = _cells(t, y, out), _cells(s, x, out)

    def add(tile: Tile) -> None:
        batch, heads, queries = tile.at
        first, last = queries.start * y // t, (queries.stop - 1) * y // t + 1
        part = down[queries, first:last].mT @ tile.weights @ across[tile.keys]
        out[batch, heads, first:last] += part

    return out, add


def _cells(n: int, cells: int, like: Tensor) -> Float[Tensor, "n c"]:
    """Return which of the cells each place falls into, as a share of those that do."""
    inside = F.one_hot(torch.arange(n, device=like.device) * cells // n, cells).to(like.dtype)
    return inside / inside.sum(0)


def _merged(call: Call, words: tuple[Tensor, Tensor]) -> tuple[Tensor, Add]:
    (y, x), device = (int(word.max()) + 1 if word.numel() else 0 for word in words), call.device
    rows, columns = (word.to(device).where(word.to(device) >= 0, n) for word, n in zip(words, (y, x), strict=True))
    out = _zeros(call, y + 1, x + 1)  # the last of each is of no word
    share = 1 / rows.bincount(minlength=y + 1)[rows].to(out.dtype)

    def add(tile: Tile) -> None:
        batch, heads, queries = tile.at
        thin = out.new_zeros(*tile.weights.shape[:3], x + 1).index_add_(3, columns[tile.keys], tile.weights)
        out[batch, heads].index_add_(2, rows[queries], thin * share[queries, None])

    return out[:, :, :y, :x], add


def _distance(call: Call, places: Tensor | None) -> tuple[Tensor, Add]:
    out, first = _zeros(call, call.n_queries), _first(call)
    where = torch.arange(max(call.n_keys, call.n_queries), device=out.device)[:, None] if places is None else places
    known, where = ~where.isnan().any(-1), where.to(out.dtype).nan_to_num()
    here: tuple[Any, Tensor] = (None, out)  # distances of the last rows and keys: heads come one after the other

    def add(tile: Tile) -> None:
        nonlocal here
        queries = tile.at[2]
        if here[0] != (queries, tile.keys):
            own = slice(queries.start + first, queries.stop + first)
            apart = torch.cdist(where[own], where[tile.keys], compute_mode="donot_use_mm_for_euclid_dist")
            apart *= known[own, None] & known[tile.keys]
            here = ((queries, tile.keys), apart)
        far = _dot(tile.weights, here[1].expand_as(tile.weights))
        if places is not None:
            far /= (tile.weights @ known[tile.keys].to(far.dtype)).clamp(min=torch.finfo(far.dtype).tiny)
        out[tile.at] = far

    return out, add


def _near(call: Call, width: int | None) -> tuple[Tensor, Add]:
    out, first, width = _zeros(call, call.n_queries), _first(call), 1 if width is None else width

    def add(tile: Tile) -> None:
        n, m = tile.weights.shape[2:]
        here = out[tile.at]
        for step in range(-width, width + 1):
            offset = tile.at[2].start + first + step - tile.keys.start
            if -n < offset < m:
                line = tile.weights.diagonal(offset, 2, 3)
                here[..., max(0, -offset) :][..., : line.size(-1)] += line

    return out, add


def _first(call: Call) -> int:
    """Return the place of the first query among the keys."""
    return call.n_keys - call.n_queries if isinstance(call, Scored) and call.causal else 0


def _zeros(call: Call, *shape: int) -> Tensor:
    return torch.zeros(*call.shape[:2], *shape, dtype=call.wide, device=call.device)


def _dot(a: Float[Tensor, "b h t s"], b: Float[Tensor, "b h t s"]) -> Float[Tensor, "b h t"]:
    return torch.einsum("bhts,bhts->bht", a, b)


FACTS: dict[str, Callable[[Call, Any], tuple[Any, Add]]] = {
    "entropy": _entropy,
    "logsumexp": _logsumexp,
    "received": _received,
    "gathered": _gathered,
    "top": _top,
    "pooled": _pooled,
    "merged": _merged,
    "distance": _distance,
    "near": _near,
}
