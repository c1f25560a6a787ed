"""Logits of marked places alone: what a loss needs of a padded batch."""

import pytest
import torch

from models.tiny import SMALL, Sentences, batch_for, difference, make
from qkv.models.family import PictureNet

PLACED = {
    name: small
    for name, small in SMALL.items()
    if not issubclass(small.family.net, PictureNet) and getattr(small.cfg, "head", None) != "classify"  # type: ignore[arg-type]
}


@pytest.mark.parametrize("small", PLACED.values(), ids=PLACED)
def test_kept_logits_are_those_of_all(small):
    net, batch = make(small), batch_for(small)
    n = 6 if isinstance(batch, Sentences) else 7
    keep = torch.arange(n) < torch.tensor([[2], [6], [1]])
    kept = net(*batch, keep=keep)
    assert kept.shape[0] == 9
    assert difference(kept, net(*batch)[keep]) < 1e-6
