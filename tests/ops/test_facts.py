"""Every fact equals the same sum over the exact weights, for every mask, bias and grouping, and in O(tokens)."""

from typing import Any

import pytest
import torch
from torch import Tensor

from models.tiny import difference
from ops.squares import Largest
from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.ops import facts, tiles
from qkv.ops.attend import attend_weights
from qkv.ops.masks import causal_mask
from qkv.ops.tiles import Scored, Weighed

KINDS = (
    "plain", "keys", "queries and keys", "each head", "each row", "two axes", "causal", "causal and keys", "last ones",
    "bias", "bias for all", "bias with holes", "lengths", "causal lengths", "narrow",
)  # fmt: skip
EPS = {torch.float32: 1e-5, torch.float64: 1e-12}


def draw(kind: str, *, t: int = 300, s: int = 300, groups: int = 2, dtype: torch.dtype = torch.float32) -> Scored:
    """Return a call of 2 rows and 4 heads; some rows of it see no key, where its mask is drawn."""
    b, h, d = (1 if "lengths" in kind else 2), 4, 8
    t = t // 2 if kind == "last ones" else t
    q, k = torch.randn(b, h, t, d, dtype=dtype) * 2, torch.randn(b, groups, s, d, dtype=dtype)
    some = torch.rand(b, h, t, s) > 0.4
    some[:, :, 3] = False
    some[0, 1, 5:9] = False
    left = torch.arange(s) >= torch.tensor([[7], [0]])  # padding on the left of the first row
    given: dict[str, Any] = {
        "keys": {"mask": left[:, None, None]},
        "queries and keys": {"mask": some[:, :1]},
        "each head": {"mask": some[:1]},
        "each row": {"mask": some},
        "two axes": {"mask": some[0, 0]},
        "causal": {"causal": True},
        "causal and keys": {"causal": True, "mask": left[:, None, None]},
        "last ones": {"causal": True},
        "bias": {"bias": torch.randn(b, h, t, s, dtype=dtype) * 3},
        "bias for all": {"bias": torch.randn(t, s, dtype=dtype)},
        "bias with holes": {"bias": torch.randn(1, h, t, s, dtype=dtype).masked_fill(~some[:1], float("-inf"))},
        "lengths": {"lengths": (t - 40, 1, 39)},
        "causal lengths": {"lengths": (40, t - 40), "causal": True},
        "narrow": {"scale": 3.0},
    }
    return Scored(q, k, **given.get(kind, {}))


def exact(call: Scored, dtype: torch.dtype | None = None) -> Tensor:
    """Return the weights as `attend_weights` has them, of all that a call may hide in one mask or bias."""
    t, s, mask, bias = call.n_queries, call.n_keys, call.mask, call.bias
    if call.causal:
        later = causal_mask(s, s)[s - t :]
        mask = later if mask is None else mask & later
    if call.lengths:
        text = torch.repeat_interleave(torch.tensor(call.lengths))
        alone = text[:, None] == text
        mask = alone if mask is None else mask & alone
    q, k = (x if dtype is None else x.to(dtype) for x in (call.q, call.k))
    return attend_weights(q, k, k, mask=mask, bias=bias, scale=call.scale)[1]


def distances(t: int, s: int, like: Tensor) -> Tensor:
    return (torch.arange(s - t if s > t else 0, s)[:t, None] - torch.arange(s)).abs().to(like)


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Make tiles so small that every call has many, of some queries and some heads."""
    monkeypatch.setitem(tiles.CELLS, "cpu", 20_000)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_fact_is_that_of_the_exact_weights(kind, groups, dtype):
    call = draw(kind, groups=groups, dtype=dtype)
    t, s, a, eps = call.n_queries, call.n_keys, exact(call), EPS[dtype]
    r_keys, r_queries = torch.randn(s, 3, dtype=dtype), torch.randn(call.shape[0], t, 3, dtype=dtype)
    asked = {"entropy": None, "logsumexp": None, "top": 7, "pooled": (16, 20), "distance": None, "near": 2}
    found = facts.summarise(call, asked | {"received": r_queries, "gathered": r_keys})
    apart = distances(t, s, a)
    assert difference(call.weights(), a) <= eps
    assert difference(found["entropy"], -torch.special.xlogy(a, a).sum(-1)) <= eps
    assert difference(facts.received(call), a.sum(-2)) <= eps
    assert difference(found["received"], a.mT @ r_queries[:, None]) <= eps
    assert difference(found["gathered"], a @ r_keys) <= eps
    assert difference(found["distance"], (a * apart).sum(-1)) <= eps
    assert difference(found["near"], (a * (apart <= 2)).sum(-1)) <= eps
    values, indices = found["top"]
    assert difference(values, a.topk(7).values) <= eps
    assert difference(a.gather(-1, indices), values) <= eps
    rows, columns = torch.arange(t) * 16 // t, torch.arange(s) * 20 // s
    cells = [[a[:, :, rows == y][..., columns == x].mean((-1, -2)) for x in range(20)] for y in range(16)]
    wanted = torch.stack([torch.stack(row, -1) for row in cells], -2)
    assert difference(found["pooled"] * 1e2, wanted * 1e2) <= eps
    blind = a.sum(-1) == 0
    assert found["logsumexp"].isneginf().equal(blind) and found["entropy"][blind].eq(0).all()
    scores = found["logsumexp"][..., None] + a.log()
    seen = a > 1e-20
    given = (call.q @ call.k.repeat_interleave(4 // groups, 1).mT) * (call.scale or 8**-0.5)
    given = given if call.bias is None else given + call.bias
    assert difference(scores[seen], given[seen]) <= 10 * eps


@pytest.mark.parametrize("kind", KINDS)
def test_rows_blocks_and_tiles_are_parts_of_the_weights(kind):
    call = draw(kind)
    a = exact(call)
    at = torch.tensor([0, 149, 3, 3])
    assert difference(call.rows(at), a[:, :, at]) <= 1e-5
    assert difference(facts.block(call, slice(5, 20, 3), slice(-9, None)), a[:, :, 5:20:3, -9:]) <= 1e-5
    parts = list(call.tiles(64))
    assert [start for start, _ in parts] == list(range(0, call.n_queries, 64))
    assert difference(torch.cat([part for _, part in parts], 2), a) <= 1e-5
    sums = torch.cat([part.sum(-1) for _, part in parts], 2)
    assert difference(sums, a.sum(-1).ne(0).float()) <= 1e-6


@pytest.mark.parametrize("kind", ["plain", "causal", "keys"])
def test_few_queries_are_as_good_as_a_vector_with_zeros(kind):
    """One row of a rollout begins with one query: the others are not computed."""
    call = draw(kind)
    r = torch.zeros(2, 300, 1)
    r[:, 140], r[1, 7] = 1.0, 2.0
    assert difference(facts.received(call, r), exact(call).mT @ r[:, None]) <= 1e-5


@pytest.mark.parametrize("n", [40, 1000, 1030])
@pytest.mark.parametrize("kind", ["plain", "causal"])
def test_the_largest_of_many_are_found_by_groups(kind, n):
    call = draw(kind, t=60 if kind == "plain" else n, s=n, dtype=torch.float64)
    values, indices = facts.top(call, 3)
    wanted = exact(call).topk(3)
    assert difference(values, wanted.values) <= 1e-12
    there = wanted.values > 0
    assert indices[there].equal(wanted.indices[there])


def test_more_than_there_are_keys_is_all_of_them():
    call = draw("causal", t=5, s=5)
    assert difference(facts.top(call, 9)[0], exact(call).sort(descending=True).values) <= 1e-5
    assert facts.pooled(call, 128, 128).equal(call.weights())


@pytest.mark.parametrize("kind", ["plain", "causal"])
def test_words_give_the_mean_and_are_given_the_sum_of_their_tokens(kind):
    call = draw(kind, t=9, s=9)
    words = torch.tensor([-1, 0, 1, 1, 1, 2, 3, 3, -1])
    member = (words == torch.arange(4)[:, None]).float()
    wanted = (member / member.sum(1, keepdim=True)) @ exact(call) @ member.T
    assert difference(facts.merged(call, words, words), wanted) <= 1e-6


def test_distances_of_places_leave_out_what_has_none():
    """A class token and a grid of 3 x 4: the mean over those that stand somewhere, in patches."""
    call, grid = draw("plain", t=13, s=13), torch.cartesian_prod(torch.arange(3.0), torch.arange(4.0))
    places = torch.cat((torch.full((1, 2), torch.nan), grid))
    a = exact(call)[..., 1:]
    wanted = (a[:, :, 1:] * (grid[:, None] - grid).norm(dim=-1)).sum(-1) / a[:, :, 1:].sum(-1)
    found = facts.distance(call, places)
    assert found[..., 0].eq(0).all()
    assert difference(found[..., 1:], wanted) <= 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_computed_in_full(dtype):
    """Under autocast, too; and nothing is kept for gradients."""
    call = draw("bias")
    call = Scored(call.q.to(dtype).requires_grad_(), call.k.to(dtype), bias=call.bias.to(dtype))  # type: ignore[union-attr]
    a = exact(call, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = facts.summarise(call, ["entropy", "received"])
        weights = call.weights()
    assert weights.dtype == found["entropy"].dtype == torch.float32 and not found["received"].requires_grad
    assert difference(weights, a) <= 1e-5
    assert difference(found["received"], a.sum(-2)) <= 1e-5


@pytest.mark.parametrize("dtype", EPS)
def test_weights_that_are_there_have_the_same_facts(dtype):
    call = draw("each row", dtype=dtype)
    given, eps = Weighed(exact(call)), EPS[dtype]
    asked = {"entropy": None, "received": None, "top": 5, "pooled": (9, 8), "distance": None, "near": None}
    found, wanted = facts.summarise(given, asked), facts.summarise(call, asked)
    for name in asked.keys() - {"top"}:
        assert difference(found[name], wanted[name]) <= eps, name
    assert difference(found["top"][0], wanted["top"][0]) <= eps
    assert given.weights().equal(given.given)
    assert given.rows(torch.tensor([5, 2])).equal(given.given[:, :, [5, 2]])
    with pytest.raises(UnsupportedError, match="without scores"):
        facts.logsumexp(given)


def test_scores_far_from_zero_lose_nothing():
    """Entropy is computed from scores less the largest: a part that all scores of a row have in common is no matter."""
    call = draw("plain", dtype=torch.float64)
    lifted = Scored(torch.cat((call.q, call.q.new_full((2, 4, 300, 1), 30.0)), -1),
                    torch.cat((call.k, call.k.new_full((2, 2, 300, 1), 30.0)), -1), scale=8**-0.5)  # fmt: skip
    assert difference(facts.entropy(lifted), facts.entropy(call)) <= 1e-12


@pytest.mark.parametrize("kind", ["plain", "causal", "keys"])
def test_memory_grows_with_the_length_alone(kind, monkeypatch):
    monkeypatch.undo()
    call = draw(kind, t=2000, s=2000)
    asked = {"entropy": None, "received": None, "top": 10, "pooled": (64, 64), "distance": None, "near": None}
    with Largest() as made:
        facts.summarise(call, asked)
        call.rows(torch.arange(3))
    assert 256 <= made.second < 2000
    with Largest() as made:
        exact(call)
    assert made.second == 2000, "the matrix would have been seen"


def test_nothing_to_see_gives_nothing():
    call = Scored(torch.randn(2, 4, 3, 8), torch.randn(2, 4, 0, 8))
    found = facts.summarise(call, ["entropy", "received", "distance"])
    assert found["entropy"].eq(0).all() and found["received"].shape == (2, 4, 0)


def test_what_makes_no_sense_is_refused():
    q = torch.randn(1, 4, 6, 8)
    with pytest.raises(ConfigError, match=r"entropie: no fact has this name\. There are entropy, "):
        facts.summarise(Scored(q, q), ["entropie"])
    mask, bias = torch.ones(6, 6, dtype=torch.bool), torch.zeros(6, 6)
    with pytest.raises(ShapeError, match="a mask or a bias, not both"):
        facts.entropy(Scored(q, q, mask, bias))
    with pytest.raises(ShapeError, match="4 query heads cannot share 3 key heads"):
        facts.entropy(Scored(q, q[:, :3]))
    with pytest.raises(ShapeError, match="6 queries, 5 keys"):
        facts.entropy(Scored(q, q[:, :, :5], causal=True))
    with pytest.raises(ShapeError, match=r"\(2, 3\) do not lay out 1 rows of 6"):
        facts.entropy(Scored(q, q, lengths=(2, 3)))
