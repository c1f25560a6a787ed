from typing import Any

import pytest
import torch
from torch import nn

from qkv.nn.attention import Attention
from qkv.nn.block import Block, Stack
from qkv.nn.mlp import Mlp
from qkv.nn.where import Where

M = 8


def block(*, crosses: bool = False, **options: Any) -> Any:
    cross = Attention(M, 2, d_memory=M) if crosses else None
    made = Block(M, Attention(M, 2), Mlp(M, 12, "relu"), nn.LayerNorm, cross=cross, **options).double()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.3)
    return made


def test_post_norm_is_norm_of_the_sum():
    b, x = block(crosses=True), torch.randn(2, 3, M).double()
    memory = torch.randn(2, 4, M).double()
    y = b.norm_attention(x + b.attention(x, Where(causal=True)))
    y = b.norm_cross(y + b.cross(y, Where(), memory))
    y = b.norm_mlp(y + b.mlp(y))
    assert torch.equal(b(x, Where(causal=True), memory), y)


def test_pre_norm_leaves_the_stream_itself_alone():
    b, x = block(crosses=True, pre_norm=True), torch.randn(2, 3, M).double()
    memory = torch.randn(2, 4, M).double()
    y = x + b.attention(b.norm_attention(x), Where(causal=True))
    y = y + b.cross(b.norm_cross(y), Where(), memory)
    y = y + b.mlp(b.norm_mlp(y))
    assert torch.equal(b(x, Where(causal=True), memory), y)


def test_dropout_falls_on_what_is_added():
    b, x = block(dropout=1.0), torch.randn(2, 3, M).double()
    assert torch.equal(b(x), b.norm_mlp(b.norm_attention(x)))
    assert torch.equal(block(dropout=1.0, pre_norm=True)(x), x)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_attention_is_the_only_way_from_place_to_place(pre_norm):
    """A block maps a set to a set: without attention each place goes its own way."""
    b, x = block(pre_norm=pre_norm), torch.randn(1, 5, M).double()
    other = x.index_fill(1, torch.tensor(2), 0.5)
    changed = (b(x) != b(other)).any(-1)[0]
    assert changed.all()
    hook = b.attention.register_forward_hook(lambda *call: torch.zeros_like(call[2]))
    changed = (b(x) != b(other)).any(-1)[0]
    assert changed.tolist() == [False, False, True, False, False]
    hook.remove()
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(b(x[:, order]), b(x)[:, order], rtol=0, atol=1e-12)


def test_a_stack_runs_its_blocks_in_order_and_norms_last():
    blocks, norm = [block(), block()], nn.LayerNorm(M).double()
    x = torch.randn(2, 3, M).double()
    assert torch.equal(Stack(blocks, norm)(x), norm(blocks[1](blocks[0](x))))
    assert torch.equal(Stack(blocks)(x), blocks[1](blocks[0](x)))
