import torch

from qkv.ops.masks import additive, causal_mask, keys_mask, reach_mask


def test_each_query_sees_itself_and_what_came_before():
    assert causal_mask(2, 4).tolist() == [[True, False, False, False], [True, True, False, False]]


def test_a_query_in_a_cache_reaches_back_from_its_own_place():
    assert reach_mask(torch.tensor([2, 0]), 4).tolist() == [[True, True, True, False], [True, False, False, False]]


def test_padding_is_hidden_from_every_head_and_query():
    mask = torch.tensor([[True, False], [True, True]])
    assert keys_mask(mask).shape == (2, 1, 1, 2)
    assert keys_mask(mask).expand(2, 3, 4, 2)[0, 2, 3].tolist() == [True, False]


def test_what_a_mask_adds_to_scores():
    added = additive(torch.tensor([[True, False]]), torch.bfloat16)
    assert added.dtype == torch.bfloat16 and added.tolist() == [[0.0, -torch.inf]]
