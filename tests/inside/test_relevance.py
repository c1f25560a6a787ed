"""Relevance by rows equals relevance by matrices, through autograd on the exact path of attention."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from models.tiny import SMALL, batch_for, difference, make_lively
from qkv.base.errors import ShapeError, UnsupportedError
from qkv.inside.relevance import relevance
from qkv.inside.rollout import stack_of
from qkv.inside.seats import find_seats, hooked
from qkv.ops.attend import attend_weights
from qkv.ops.tiles import ROWS

NAMES = ("bert-tiny", "bert head=classify", "deberta-v3-base", "gpt-tiny", "llama-tiny", "vit-digits",
         "dinov2-with-registers-small", "transformer-tiny")  # fmt: skip
BERT = SMALL["bert-tiny"]


def answer(said: Tensor) -> Tensor:
    """One number per input: a label's logit, or a token's at the last place."""
    return said[:, 1] if said.dim() == 2 else said[:, -1, 1]


def by_matrices(net: Any, batch: Any, stream: str | None) -> Tensor:
    """R of eqs. 5 and 6, of all tokens, with dA by autograd from weights that are really there."""
    specs = stack_of([seat.spec for seat in find_seats(net)], stream)
    seats, maps = [seat for seat in find_seats(net) if seat.spec in specs], []

    def exact(seat: Any, given: Any, output: Tensor) -> Tensor:
        q, k, v, where = given
        how = {"mask": where.mask, "bias": where.bias, "causal": where.causal, "scale": seat.scale}
        weights = attend_weights(q, k, v, **how)[1]
        weights.retain_grad()
        maps.append(weights)
        return weights @ v.repeat_interleave(q.size(1) // v.size(1), 1)

    with hooked(net, dict.fromkeys(seats, exact)):
        answer(net(*batch)).sum().backward()
    relevance = torch.eye(maps[0].size(-1))
    for weights in maps:
        mixed = (weights * weights.grad).clamp(min=0.0).mean(1)
        relevance = relevance + mixed @ relevance
    return relevance.detach()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_that_of_the_matrices(name):
    net, batch = make_lively(SMALL[name]), batch_for(SMALL[name])
    for stream in ("source", "target") if name == "transformer-tiny" else (None,):
        wanted = by_matrices(net, batch, stream)
        rows = range(wanted.size(-1))
        found = relevance(net, batch, answer, rows, stream=stream)
        assert difference(found, wanted) <= 1e-5
        last = relevance(net.requires_grad_(False), batch, answer, -1, stream=stream)
        assert difference(last, wanted[:, -1]) <= 1e-5 and last.shape == wanted[:, -1].shape
        assert (wanted - torch.eye(wanted.size(-1))).max() > 1e-4
        net.requires_grad_(True)


def test_tokens_that_cannot_be_seen_count_for_nothing():
    batch: Any = batch_for(BERT)
    found = relevance(make_lively(BERT), batch, lambda said: said[:, 0, 0], 0)
    assert not found[~batch.mask].any() and (found[:, 0] >= 1).all()
    gpt = SMALL["gpt-tiny"]
    found = relevance(make_lively(gpt), (batch.ids,), lambda said: said[:, 3, 1], 3)
    assert not found[:, 4:].any() and found[:, :3].any()


def test_an_answer_that_rests_on_no_attention_is_only_itself():
    found = relevance(make_lively(BERT), batch_for(BERT), lambda said: torch.zeros(3, requires_grad=True), 2)
    assert torch.equal(found, torch.eye(7)[2].expand(3, -1))


def test_what_has_no_relevance_is_refused():
    swin = SMALL["swin-digits"]
    with pytest.raises(UnsupportedError, match="Layers of windows"):
        relevance(make_lively(swin), batch_for(swin), answer, 0)
    with pytest.raises(ShapeError, match=r"one number per input, not a tensor of shape \[\]"):
        relevance(make_lively(BERT), batch_for(BERT), lambda said: said.sum(), 0)
    with pytest.raises(UnsupportedError, match=r"call net\.eval\(\)"):
        relevance(make_lively(BERT).train(), batch_for(BERT), answer, 0)


class Squares(TorchDispatchMode):
    """Note the largest number of two axes of any tensor that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and x.dim() > 1:
                self.largest = max(self.largest, sorted(x.shape)[-2])
        return out


def test_no_matrix_of_all_tokens_is_made():
    small = SMALL["gpt-tiny"]
    net, ids = make_lively(small, max_len=1024), torch.randint(4, 30, (1, 1024))
    with Squares() as squares:
        relevance(net, (ids,), lambda said: said[:, -1, 1], -1)
    assert squares.largest <= ROWS
