from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from qkv.nn.scores import AdditiveScore, DotScore, GeneralScore, Weigh

N, M, A = 4, 6, 5


def made(score: nn.Module) -> tuple[Any, torch.Tensor, torch.Tensor]:
    width = N if isinstance(score, DotScore) else M
    return score.double(), torch.randn(2, 3, N).double(), torch.randn(2, 5, width).double()


def every_pair(q: torch.Tensor, memory: torch.Tensor, energy: Callable[..., torch.Tensor]) -> torch.Tensor:
    """Return the energies (b, t, s), each computed by itself."""
    rows = [[energy(s, h) for s in x for h in m] for x, m in zip(q, memory, strict=True)]
    return torch.stack([torch.stack(row) for row in rows]).view(q.size(0), q.size(1), -1)


def test_additive_energy_is_a_small_network_of_both():
    score, q, memory = made(AdditiveScore(N, M, A))
    v = score.energy.weight[0]
    wanted = every_pair(q, memory, lambda s, h: v @ torch.tanh(score.query.weight @ s + score.key.weight @ h))
    torch.testing.assert_close(score(q, score.remember(memory)), wanted, rtol=0, atol=1e-12)


def test_luongs_concat_is_the_same_energy():
    """v . tanh(W [s; h]) with W = [W1, W2]."""
    score, q, memory = made(AdditiveScore(N, M, A))
    w = torch.cat((score.query.weight, score.key.weight), 1)
    wanted = every_pair(q, memory, lambda s, h: score.energy.weight[0] @ torch.tanh(w @ torch.cat((s, h))))
    torch.testing.assert_close(score(q, score.remember(memory)), wanted, rtol=0, atol=1e-12)


def test_general_energy_is_a_product_through_a_matrix():
    score, q, memory = made(GeneralScore(N, M))
    wanted = every_pair(q, memory, lambda s, h: s @ score.key.weight @ h)
    torch.testing.assert_close(score(q, score.remember(memory)), wanted, rtol=0, atol=1e-12)


def test_dot_energy_is_a_plain_product():
    score, q, memory = made(DotScore())
    wanted = every_pair(q, memory, lambda s, h: s @ h)
    torch.testing.assert_close(score(q, score.remember(memory)), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", [AdditiveScore(N, M, A), GeneralScore(N, M), DotScore()])
def test_one_seat_serves_every_similarity(score):
    """The general attention layer: queries, hidden vectors, any similarity; weights, then the mix."""
    score, q, memory = made(score)
    mask = torch.tensor([[True, True, False, False, True], [False] * 5])[:, None]
    scores = score(q, score.remember(memory))
    context, weights = Weigh()(scores, memory, mask)
    powers = scores[0].exp() * mask[0]
    torch.testing.assert_close(weights[0], powers / powers.sum(-1, keepdim=True), rtol=0, atol=1e-12)
    torch.testing.assert_close(context[0], weights[0] @ memory[0], rtol=0, atol=1e-12)
    assert weights[1].eq(0).all() and context[1].eq(0).all()
    assert not list(Weigh().parameters())
