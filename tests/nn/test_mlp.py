import math

import pytest
import torch
import torch.nn.functional as F

from qkv.nn.mlp import ACTIVATIONS, GatedMlp, Mlp

FORMULAS = {
    "relu": lambda x: x.clamp(min=0),
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": torch.tanh,
}


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_two_layers_with_a_bend_between_them(act):
    mlp, x = Mlp(6, 9, act), torch.randn(2, 3, 6)
    hidden = FORMULAS[act](x @ mlp.up.weight.T + mlp.up.bias)
    torch.testing.assert_close(mlp(x), hidden @ mlp.down.weight.T + mlp.down.bias, rtol=0, atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_one_half_opens_the_other(bias):
    mlp, x = GatedMlp(6, 9, "silu", bias=bias), torch.randn(2, 3, 6)
    gate, passed = F.linear(x, mlp.up.weight, mlp.up.bias).split(9, -1)
    wanted = F.linear(F.silu(gate) * passed, mlp.down.weight, mlp.down.bias)
    torch.testing.assert_close(mlp(x), wanted, rtol=0, atol=1e-6)
    assert (mlp.up.bias is not None) == bias == (mlp.down.bias is not None)


def test_the_same_weights_serve_every_place():
    mlp, x = Mlp(6, 9, "gelu"), torch.randn(2, 3, 6)
    torch.testing.assert_close(mlp(x)[1, 2], mlp(x[1, 2]), rtol=0, atol=1e-6)


def test_dropout_falls_after_the_activation():
    mlp, x = Mlp(6, 9, "relu", dropout=1.0), torch.randn(2, 3, 6)
    assert torch.equal(mlp(x), mlp.down.bias.expand(2, 3, 6))
    assert not torch.equal(mlp.eval()(x), mlp.down.bias.expand(2, 3, 6))
