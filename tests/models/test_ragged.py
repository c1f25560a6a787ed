"""Encoders read texts without padding as they read each alone."""

import pytest
import torch

from models.tiny import SMALL, difference, make
from qkv.base.errors import UnsupportedError
from qkv.models.bert import SIZES
from qkv.nn.packed import pack
from qkv.nn.ragged import encode_ragged

LENGTHS = (7, 1, 12, 3)
NETS = [name for name in SIZES if name in SMALL]


def texts(side: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids of texts of several lengths, padded on a side with ids that nobody may read, and segments."""
    n = torch.tensor(LENGTHS)[:, None]
    mask = torch.arange(12) < n if side == "right" else torch.arange(12) >= 12 - n
    return torch.randint(4, 30, (4, 12)), mask, torch.zeros(4, 12, dtype=torch.long)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", NETS)
def test_each_text_is_as_if_alone(name, side):
    net = make(SMALL[name])
    ids, mask, segments = texts(side)
    with torch.inference_mode():
        states = encode_ragged(net, ids, mask, segments)
        for row, state, real in zip(ids, states, mask, strict=True):
            assert difference(state[real][None], net.encode(row[real][None])) <= 3e-6
    assert not states[~mask].any()


def test_segments_are_read():
    net = make(SMALL["bert-tiny"])
    ids, mask, segments = texts("right")
    segments[:, 2:] = 1
    with torch.inference_mode():
        states = encode_ragged(net, ids, mask, segments)
        assert difference(states[mask], net.encode(ids, mask, segments)[mask]) <= 3e-6
        assert difference(states[mask], net.encode(ids, mask)[mask]) > 1e-3


@pytest.mark.parametrize("head", ["mlm", "pretraining", "classify", "tag", None])
def test_heads_answer(head):
    net = make(SMALL["bert-tiny"], head=head)
    ids, mask, _ = texts("left")
    keep = mask & (torch.arange(12) % 2 == 0)
    with torch.inference_mode():
        found, wanted = net.answer(encode_ragged(net, ids, mask), mask, keep), net(ids, mask, keep=keep)
    assert found.shape == wanted.shape and difference(found, wanted) <= 3e-6


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 3e-6), (torch.bfloat16, 5e-2)])
def test_packed_nets_read_them_too(dtype, bound):
    net = make(SMALL["bert-tiny"])
    ids, mask, _ = texts("right")
    with torch.inference_mode():
        found = encode_ragged(pack(net, dtype), ids, mask)
        assert difference(found[mask].float(), net.encode(ids, mask)[mask]) <= bound


def test_nets_with_scores_of_their_own_say_that_they_cannot():
    with pytest.raises(UnsupportedError, match="Deberta does not read texts without padding"):
        encode_ragged(make(SMALL["deberta-v3-base"]), *texts("right"))
