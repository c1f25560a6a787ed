"""Logits of marked places alone: what a loss needs of a padded batch."""

import pytest
import torch

from models.tiny import SMALL, difference, make, sentences


@pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
def test_kept_logits_are_those_of_all(small):
    net, batch = make(small), sentences(small.cfg)
    keep = torch.arange(6) < torch.tensor([[2], [6], [1]])
    kept = net(*batch, keep)
    assert kept.shape[0] == 9
    assert difference(kept, net(*batch)[keep]) < 1e-6
