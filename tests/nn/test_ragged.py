"""Padded batches laid end to end, and back."""

import torch

from qkv.nn.ragged import repad, unpad


def test_real_places_lie_end_to_end_and_come_back():
    x = torch.randn(4, 5, 3)
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 1, 1], [1, 1, 1, 1, 1]], dtype=torch.bool)
    row, lengths = unpad(x, mask)
    assert lengths == (2, 3, 5)
    assert torch.equal(row, torch.cat([x[0, :2], x[2, 2:], x[3]])[None])
    assert torch.equal(repad(row, mask), x * mask[..., None])
