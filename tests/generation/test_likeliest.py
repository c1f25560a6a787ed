"""The best tokens of each row: as from a plain log-softmax and topk, with less memory."""

import pytest
import torch

from qkv.generation.likeliest import largest, likeliest


def plain(logits: torch.Tensor, k: int, banned: int) -> tuple[torch.Tensor, torch.Tensor]:
    log_p = logits.double().log_softmax(-1)
    log_p[:, banned] = float("-inf")
    return log_p.topk(k)


@pytest.mark.parametrize("v", [9, 1000, 1024, 1025, 5000, 59_514])
@pytest.mark.parametrize("k", [1, 8])
def test_they_are_those_of_a_log_softmax(v, k):
    logits = torch.randn(5, v) * 3
    banned = int(logits[0].argmax())
    values, tokens = plain(logits, k, banned)
    ours, ids = likeliest(logits.clone(), k, [banned])
    assert torch.equal(ids, tokens)
    torch.testing.assert_close(ours.double(), values, rtol=0, atol=1e-5)


def test_a_banned_token_far_above_the_rest_does_no_harm():
    logits = torch.randn(3, 5000)
    logits[:, 7] = 500.0
    values, tokens = plain(logits, 4, 7)
    ours, ids = likeliest(logits.clone(), 4, [7])
    assert torch.equal(ids, tokens)
    torch.testing.assert_close(ours.double(), values, rtol=0, atol=1e-3)


def test_in_half_precision_probabilities_are_as_good_as_the_logits():
    logits = (torch.randn(4, 5000) * 3).bfloat16()
    values, _ = plain(logits.float(), 8, 0)
    assert (likeliest(logits.clone(), 8, [0])[0] - values).abs().max() < 0.01


@pytest.mark.parametrize("place", [0, 127, 128, 4095, 4096, 4999])
def test_no_place_is_overlooked(place):
    x = torch.zeros(2, 5000)
    x[1, place] = 1.0
    values, ids = largest(x, 3)
    assert ids[1, 0] == place and values[1].tolist() == [1.0, 0.0, 0.0]
    assert all(len(set(row)) == 3 for row in ids.tolist())
