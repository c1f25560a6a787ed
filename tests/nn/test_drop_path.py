import subprocess
import sys
from typing import Any

import pytest
import torch

from qkv.nn.attention import Attention
from qkv.nn.block import Block
from qkv.nn.drop_path import DropPath, rising
from qkv.nn.embed import fill_buffers
from qkv.nn.mlp import Mlp


def test_rows_are_left_out_whole_and_the_rest_raised():
    x = torch.rand(4000, 3, 2) + 1
    y = DropPath(0.25)(x)
    kept = (y != 0).all((1, 2))
    assert torch.equal(y[~kept], torch.zeros_like(y[~kept]))
    torch.testing.assert_close(y[kept], x[kept] / 0.75)
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)  # 4 standard deviations


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_none_and_all(rate):
    x = torch.rand(50, 3)
    assert torch.equal(DropPath(rate)(x), x * (1 - rate))


def test_nothing_is_left_out_when_not_training():
    x = torch.rand(50, 3)
    assert DropPath(0.9).eval()(x) is x


def test_the_rate_is_no_part_of_the_state_and_comes_back_after_meta():
    with torch.device("meta"):
        net: Any = torch.nn.Sequential(torch.nn.Linear(2, 2), DropPath(0.25))
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    net.load_state_dict(torch.nn.Linear(2, 2, dtype=torch.bfloat16).state_dict(prefix="0."), assign=True)
    fill_buffers(net)
    assert net[1].rate.item() == 0.25 and net[1].rate.dtype == torch.bfloat16


def test_rates_rise_with_depth():
    assert rising(0.2, 3) == [0.0, 0.1, 0.2]
    assert rising(0.2, 1) == [0.0]


def test_a_block_leaves_out_what_its_sublayers_add():
    block, x = (
        Block(8, Attention(8, 2), Mlp(8, 12, "relu"), torch.nn.LayerNorm, pre_norm=True, drop_path=1.0),
        torch.randn(2, 3, 8),
    )
    assert torch.equal(block(x), x)
    assert not torch.equal(block.eval()(x), x)


GRAPHS = """
import sys, torch
from qkv.nn.drop_path import DropPath

class Numbered(DropPath):
    def forward(self, x):
        return x * self._rate if self.training else x

def backend(graph, inputs):
    graphs.append(graph)
    return graph.forward

for kind in (DropPath, Numbered):
    graphs = []
    torch._dynamo.reset()
    for rate in (0.0, 0.1, 0.2):
        layer = kind(rate)
        layer.compile(backend=backend, fullgraph=True)
        layer(torch.ones(4, 2))
    sys.stdout.write(f"{len(graphs)} ")
"""


def test_layers_of_different_rates_share_one_graph():
    """Those that read their rate as a number do not. In a process of its own: under Dynamo the shape checker errs."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", GRAPHS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    ours, numbered = map(int, done.stdout.split())
    assert ours == 1 < numbered
