from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qkv.nn.attention import Attend, Attention
from qkv.nn.cache import KeyValue, make_room
from qkv.nn.where import Where
from qkv.ops.masks import causal_mask, keys_mask, reach_mask

M, H = 12, 3
D = M // H
KEYS = KeyValue(*torch.zeros(2, 2, H, 1, D, dtype=torch.float64))


def draw(module: nn.Module) -> Any:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double().eval()


def plain(x: Tensor, memory: Tensor, w: list[Tensor], b: list[Tensor], out: nn.Linear, mask: Tensor) -> Tensor:
    """Concat(head_1, ..., head_h) W^O, head_i = softmax(Q K^T / sqrt(d_k)) V, one head after the other."""
    heads = []
    for i in range(H):
        rows = slice(i * D, (i + 1) * D)
        q = x @ w[0][rows].T + b[0][rows]
        k, v = (memory @ w[j][rows].T + b[j][rows] for j in (1, 2))
        scores = (q @ k.mT / D**0.5).masked_fill(~mask, -torch.inf)
        heads.append(scores.softmax(-1) @ v)
    return torch.cat(heads, -1) @ out.weight.T + out.bias


def test_self_attention_is_the_papers_formula():
    attention = draw(Attention(M, H))
    x = torch.randn(2, 5, M).double()
    w, b = list(attention.qkv.weight.chunk(3)), list(attention.qkv.bias.chunk(3))
    for where, mask in ((Where(), torch.ones(5, 5)), (Where(causal=True), causal_mask(5, 5))):
        wanted = plain(x, x, w, b, attention.out, mask.bool())
        torch.testing.assert_close(attention(x, where), wanted, rtol=0, atol=1e-12)


def test_cross_attention_is_the_papers_formula():
    attention = draw(Attention(M, H, d_memory=7))
    x, memory = torch.randn(2, 5, M).double(), torch.randn(2, 4, 7).double()
    mask = torch.tensor([[True, True, True, False], [False, True, True, True]])
    w = [attention.q.weight, *attention.kv.weight.chunk(2)]
    b = [attention.q.bias, *attention.kv.bias.chunk(2)]
    wanted = plain(x, memory, w, b, attention.out, mask[:, None])
    found = attention(x, Where(mask=keys_mask(mask)), memory)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    keys = attention.remember(memory)
    assert torch.equal(attention(x, Where(mask=keys_mask(mask)), None, keys), found)


def test_self_attention_equals_torchs():
    ours, theirs = draw(Attention(M, H)), nn.MultiheadAttention(M, H, batch_first=True).double().eval()
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x = torch.randn(2, 5, M).double()
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0], rtol=0, atol=1e-12)


def test_without_biases_there_are_none():
    assert not [name for name, _ in Attention(M, H, bias=False, d_memory=5).named_parameters() if "bias" in name]


def test_rows_that_share_a_memory_equal_rows_with_a_copy_each():
    """Beams are laid end to end, so that keys are read once per source."""
    attention = draw(Attention(M, H, d_memory=7))
    x, memory = torch.randn(2 * 3, 4, M).double(), torch.randn(2, 5, 7).double()
    mask = torch.tensor([[True, True, True, True, False], [True, True, False, False, False]])
    folded = attention(x, Where(mask=keys_mask(mask)), memory)
    copied = attention(x, Where(mask=keys_mask(mask.repeat_interleave(3, 0))), memory.repeat_interleave(3, 0))
    torch.testing.assert_close(folded, copied, rtol=0, atol=1e-12)
    shapes = []
    attention.attend.register_forward_hook(lambda _, x, y: shapes.append(tuple(x[0].shape)))
    attention(x, Where(mask=keys_mask(mask)), memory)
    assert shapes == [(2, H, 3 * 4, D)]


@pytest.mark.parametrize("whole_buffer", [False, True])
def test_steps_through_a_cache_equal_one_causal_pass(whole_buffer):
    attention, room = draw(Attention(M, H)), 7
    x = torch.randn(2, 5, M).double()
    wanted = attention(x, Where(causal=True))
    cache = make_room(KEYS, 2, room)
    for i in range(5):
        at = torch.tensor([i])
        where = Where(mask=reach_mask(at, room if whole_buffer else i + 1), at=at)
        found = attention(x[:, [i]], where, None, cache)
        torch.testing.assert_close(found, wanted[:, [i]], rtol=0, atol=1e-12)


def test_several_tokens_may_enter_a_cache_at_once():
    attention = draw(Attention(M, H))
    x = torch.randn(2, 5, M).double()
    cache = make_room(KEYS, 2, 5)
    parts = []
    for at in (torch.arange(3), torch.arange(3, 5)):
        parts.append(attention(x[:, at], Where(mask=reach_mask(at, int(at[-1]) + 1), at=at), None, cache))
    torch.testing.assert_close(torch.cat(parts, 1), attention(x, Where(causal=True)), rtol=0, atol=1e-12)


def test_dropout_falls_on_weights_only_in_training():
    seat = Attend(dropout=0.5)
    q, k, v = torch.randn(3, 1, 1, 4, 8).unbind(0)
    assert not torch.equal(seat(q, k, v, Where()), seat(q, k, v, Where()))
    seat.eval()
    assert torch.equal(seat(q, k, v, Where()), Attend()(q, k, v, Where()))


def test_a_seat_may_have_its_own_scale():
    q, k, v = torch.randn(3, 1, 1, 4, 8).unbind(0)
    torch.testing.assert_close(Attend(scale=2.0)(q, k, v, Where()), Attend()(q * 2 * 8**0.5, k, v, Where()))


def test_without_positions_attention_is_permutation_equivariant_and_invariant_only_after_pooling():
    """An erratum of the lectures: "invariant" is true of a pooled output alone."""
    attention, order = draw(Attention(M, H)), torch.tensor([3, 0, 4, 1, 2])
    x = torch.randn(2, 5, M).double()
    there, here = attention(x[:, order]), attention(x)
    torch.testing.assert_close(there, here[:, order], rtol=0, atol=1e-12)
    assert (there - here).abs().max() > 1e-2
    torch.testing.assert_close(there.mean(1), here.mean(1), rtol=0, atol=1e-12)
