"""Buckets of distances, and scores by distance read as scores by key."""

import pytest
import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from qkv.ops.buckets import by_key, log_buckets

SIZES = [(256, 512), (8, 20), (4, 6), (5, 9), (2, 7), (256, 24_000), (7, 5000)]
ALL = torch.arange(-3000, 3001)


@pytest.mark.parametrize(("n_buckets", "max_distance"), SIZES)
def test_buckets_are_those_of_the_reference(n_buckets, max_distance):
    wanted = make_log_bucket_position(ALL, n_buckets, max_distance).long()
    assert torch.equal(log_buckets(ALL, n_buckets, max_distance), wanted)


@pytest.mark.parametrize(("n_buckets", "max_distance"), SIZES)
def test_near_distances_are_exact_and_far_ones_in_order(n_buckets, max_distance):
    found = log_buckets(ALL, n_buckets, max_distance)
    near = ALL.abs() <= n_buckets // 2
    assert torch.equal(found[near], ALL[near])
    assert (found.diff() >= 0).all() and torch.equal(found.flip(0), -found)
    last = torch.tensor([max_distance - 1])
    assert log_buckets(last, n_buckets, max_distance).item() == 2 * (n_buckets // 2) - 1


def test_known_buckets():
    """By hand: beyond 128, bucket 128 + ceil(127 log(d / 128) / log(511 / 128))."""
    found = log_buckets(torch.tensor([0, 5, -128, 129, -200, 256, 511, -512]), 256, 512)
    assert found.tolist() == [0, 5, -128, 129, -169, 192, 255, -256]


@pytest.mark.parametrize("t", [1, 2, 3, 7])
def test_scores_by_key_are_gathered_ones(t):
    scores = torch.randn(2, 3, t, 2 * t + 1)
    at = t + torch.arange(t) - torch.arange(t)[:, None]
    found = by_key(scores)
    assert torch.equal(found, scores.gather(-1, at.expand(2, 3, t, t)))
    assert found.untyped_storage().data_ptr() == scores.untyped_storage().data_ptr(), "a copy"
