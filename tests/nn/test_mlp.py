import pytest
import torch
import torch.nn.functional as F

from qkv.nn.mlp import ACTIVATIONS, Mlp


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_two_layers_with_a_bend_between_them(act):
    mlp, x = Mlp(6, 9, act), torch.randn(2, 3, 6)
    hidden = getattr(F, act)(x @ mlp.up.weight.T + mlp.up.bias)
    torch.testing.assert_close(mlp(x), hidden @ mlp.down.weight.T + mlp.down.bias, rtol=0, atol=1e-6)


def test_the_same_weights_serve_every_place():
    mlp, x = Mlp(6, 9, "gelu"), torch.randn(2, 3, 6)
    torch.testing.assert_close(mlp(x)[1, 2], mlp(x[1, 2]), rtol=0, atol=1e-6)


def test_dropout_falls_after_the_activation():
    mlp, x = Mlp(6, 9, "relu", dropout=1.0), torch.randn(2, 3, 6)
    assert torch.equal(mlp(x), mlp.down.bias.expand(2, 3, 6))
    assert not torch.equal(mlp.eval()(x), mlp.down.bias.expand(2, 3, 6))
