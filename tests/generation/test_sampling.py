"""Policies equal those of transformers; what is drawn has the distribution it should, and depends on nothing else."""

import math
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from models.tiny import SMALL, make
from qkv.base.errors import ConfigError
from qkv.generation.engine import generate
from qkv.generation.sampling import (
    HEAD,
    Sampler,
    Sampling,
    draw,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
    shape_logits,
)
from qkv.generation.search import Path

NOTHING: Any = torch.zeros(4, 0, dtype=torch.long)
Case = tuple[Callable[[Tensor], Tensor], Any]
POLICIES: dict[str, Case] = {
    **{f"top-k {k}": (lambda x, k=k: keep_top_k(x, k), TopKLogitsWarper(k)) for k in (1, 2, 50, 10_000)},
    **{f"top-p {p}": (lambda x, p=p: keep_top_p(x, p), TopPLogitsWarper(p)) for p in (0.01, 0.5, 0.9, 0.999)},
    **{f"min-p {p}": (lambda x, p=p: keep_min_p(x, p), MinPLogitsWarper(p)) for p in (0.0, 0.01, 0.5, 1.0)},
}


def random_logits(v: int, scale: float) -> Tensor:
    return torch.randn(4, v, dtype=torch.float64) * scale


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("v", "scale"), [(7, 1.0), (300, 3.0), (5000, 3.0), (5000, 0.1)])
def test_a_policy_is_that_of_transformers(policy, v, scale):
    mine, theirs = POLICIES[policy]
    logits = random_logits(v, scale)
    before = logits.clone()
    assert torch.equal(mine(logits), theirs(NOTHING, logits))
    assert torch.equal(logits, before)


def test_a_nucleus_reaches_beyond_the_head_where_it_must():
    logits = random_logits(5000, 0.1)
    assert keep_top_p(logits, 0.9).isfinite().sum(-1).min() > HEAD
    assert keep_top_p(random_logits(5000, 9.0), 0.9).isfinite().sum(-1).max() < HEAD


def test_tokens_as_likely_as_the_last_that_stays_stay():
    logits = torch.tensor([[1.0, 1.0, 0.0, 0.0, -9.0]])
    assert keep_top_k(logits, 1).isfinite().tolist() == [[True, True, False, False, False]]
    assert keep_top_p(logits, 0.8).isfinite().tolist() == [[True, True, True, True, False]]


@pytest.mark.parametrize("penalty", [0.7, 1.2, 5.0])
def test_the_penalty_for_repetition_is_that_of_transformers(penalty):
    logits, ids = random_logits(50, 3.0), torch.randint(0, 50, (4, 20))
    seen = torch.zeros(4, 50, dtype=torch.bool).scatter(1, ids, True)
    expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, logits)  # type: ignore[arg-type]  # a LongTensor
    assert torch.equal(penalize_repetition(logits, seen, penalty), expected)
    assert not torch.equal(expected, logits)


@pytest.mark.parametrize("v", [60, 3000])
def test_all_policies_come_in_the_order_of_transformers(v):
    """Each pair of policies, changed in order, would give something else."""
    logits, ids = random_logits(v, 3.0), torch.randint(0, v, (4, 20))
    seen = torch.zeros(4, v, dtype=torch.bool).scatter(1, ids, True)
    theirs = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.3),
            TemperatureLogitsWarper(1.7),
            TopKLogitsWarper(20),
            TopPLogitsWarper(0.8),
            MinPLogitsWarper(0.1),
        ]
    )
    sampling = Sampling(temperature=1.7, top_k=20, top_p=0.8, min_p=0.1, repetition_penalty=1.3)
    assert torch.equal(shape_logits(logits, sampling, seen), theirs(ids, logits))  # type: ignore[arg-type]
    assert shape_logits(logits, Sampling(), None) is logits


def chi_square(counts: Tensor, expected: Tensor) -> float:
    """Return how probable counts at least as far from those expected are (Pearson 1900); rare cells are one."""
    rare = expected < 5
    counts, expected = (torch.cat((x[~rare], x[rare].sum()[None])).double() for x in (counts, expected))
    kept = expected > 0
    assert counts[~kept].sum() == 0
    x = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    return torch.special.gammaincc(torch.tensor((kept.sum().item() - 1) / 2, dtype=torch.float64), x / 2).item()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.5),
        Sampling(temperature=2.0, top_k=7),
        Sampling(top_p=0.7),
        Sampling(min_p=0.1, seed=1),
        Sampling(repetition_penalty=1.5),
    ],
    ids=str,
)
def test_tokens_come_as_often_as_they_should(sampling):
    """20,000 prompts of one distribution, one token each."""
    n, v = 20_000, 40
    one = torch.randn(1, v) * 2
    prompts = [[i % v, i // v] for i in range(n)] if sampling.repetition_penalty == 1.0 else [[3, 4]] * n
    sampler = Sampler(sampling, prompts, prompts, [1] * n, [])
    paths = [Path(i, 1, ()) for i in range(n)]
    values, tokens = sampler(one.expand(n, -1), paths)
    seen = torch.zeros(1, v, dtype=torch.bool)
    seen[0, [3, 4]] = True
    exact = shape_logits(one.double(), sampling, seen).softmax(-1)[0]
    counts = tokens.bincount(minlength=v)
    assert chi_square(counts, exact * n) > 0.01
    assert chi_square(counts, torch.roll(exact, 1).clamp(min=1e-3) * n) < 1e-9, "a test that can fail"
    torch.testing.assert_close(values, one.log_softmax(-1)[0, tokens])


def test_whole_texts_come_as_often_as_they_should():
    """Copies of a prompt draw each for themselves: 3,000 texts of two tokens, against a pass without a cache."""
    net, n = make(SMALL["gpt-tiny"], vocab_size=6, dtype=torch.float64), 3000
    prompt = torch.tensor([[2, 0, 5]])
    sampling = Sampling(temperature=1.3, seed=5)
    found = generate(net, prompt.expand(n, -1), torch.ones(n, 3, dtype=torch.bool), room=2, sampling=sampling)
    with torch.inference_mode():
        first = (net(prompt)[0, -1] / 1.3).softmax(-1)
        then = (net(torch.cat((prompt.expand(6, -1), torch.arange(6)[:, None]), 1))[:, -1] / 1.3).softmax(-1)
    counts = Counter(tuple(one.ids) for one in found)
    seen = torch.tensor([counts[pair] for pair in product(range(6), repeat=2)])
    exact = (first[:, None] * then).flatten() * n
    assert chi_square(seen, exact) > 0.01
    assert chi_square(seen, exact.roll(1)) < 1e-9


def test_a_draw_depends_on_the_seed_the_prompt_and_the_copy_alone():
    def numbers(seed: int, *prompts: list[int], room: int = 20) -> list[list[float]]:
        sampler = Sampler(Sampling(seed=seed), prompts, prompts, [room] * len(prompts), [])
        return [row.tolist() for row in sampler.numbers]

    a, b, again = numbers(0, [1, 2], [3], [1, 2])
    assert len({*a, *b, *again}) == 60
    assert numbers(0, [3], [7, 7], [1, 2]) == [b, numbers(0, [7, 7])[0], a]
    assert numbers(0, [1, 2], room=3) == [a[:3]], "more room changes nothing that comes before"
    assert not set(numbers(1, [1, 2])[0]) & set(a)
    assert not set(numbers(0, [12])[0]) & set(a)


def test_the_greatest_and_the_least_number_draw_what_is_allowed():
    logits = torch.tensor([[-torch.inf, 0.0, 1.0, -torch.inf, 0.5, -torch.inf]]).expand(2, -1)
    assert draw(logits, torch.tensor([0.0, math.nextafter(1.0, 0.0)], dtype=torch.float64)).tolist() == [1, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"temperature": 0.0},
            "temperature is 0.0; it must be above 0; without sampling the likeliest token is taken.",
        ),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": math.inf}, "temperature is inf"),
        ({"top_k": 0}, "top_k is 0; it must be at least 1."),
        ({"top_p": 0.0}, "top_p is 0.0; it must be above 0 and at most 1."),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"min_p": -0.1}, "min_p is -0.1; it must be from 0 to 1."),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0; it must be above 0; 1 is none."),
        ({"top_k": -1, "top_p": 2.0}, "top_k is -1; it must be at least 1. top_p is 2.0"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError) as caught:
        Sampling(**settings)
    assert str(caught.value).startswith(message)
