"""oneDNN's products equal PyTorch's own, with their gradients, and are used where they pay and nowhere else."""

import pytest
import torch
import torch.nn.functional as F

from models.tiny import difference
from qkv.nn.linear import Linear
from qkv.ops import linear as module
from qkv.ops.linear import HAS_ONEDNN, WORK, linear


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of what was multiplied by oneDNN."""
    seen: list[tuple[int, ...]] = []
    plain = module._OneDnn.apply
    monkeypatch.setattr(module._OneDnn, "apply", lambda *given: (seen.append(given[0].shape), plain(*given))[1])
    return seen


@pytest.fixture
def always(monkeypatch) -> None:
    monkeypatch.setattr(module, "WORK", 0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(1,), (7,), (3, 5), (2, 3, 4)], ids=str)
def test_products_and_gradients_equal_torchs(rows, bias, always, calls):
    layer = Linear(12, 20, bias=bias)
    x = torch.randn(*rows, 12, requires_grad=True)
    wanted = [x, *layer.parameters()]
    ours, theirs = layer(x), F.linear(x, layer.weight, layer.bias)
    assert difference(ours, theirs) < 1e-6
    dy = torch.randn_like(ours)
    for mine, other in zip(torch.autograd.grad(ours, wanted, dy), torch.autograd.grad(theirs, wanted, dy), strict=True):
        assert mine.shape == other.shape and difference(mine, other) < 1e-6
    assert len(calls) == 3 * HAS_ONEDNN  # the product and two gradients


def test_second_derivatives_are_right(always):
    x, weight = torch.randn(4, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)

    def second(product):
        (dx,) = torch.autograd.grad(product(x, weight).pow(3).sum(), x, create_graph=True)
        return torch.autograd.grad(dx.pow(2).sum(), (x, weight))

    for mine, other in zip(second(linear), second(F.linear), strict=True):
        assert difference(mine, other) < 1e-5


def test_gradients_that_nobody_wants_are_not_computed(always, calls):
    weight = torch.randn(5, 3, requires_grad=True)
    linear(torch.randn(4, 3), weight).sum().backward()
    assert weight.grad is not None and len(calls) == 2 * HAS_ONEDNN


def test_it_is_used_where_it_pays(calls):
    n = 64
    linear(torch.randn(WORK // n // n, n), torch.randn(n, n))
    assert len(calls) == HAS_ONEDNN
    linear(torch.randn(WORK // n // n - 1, n), torch.randn(n, n))  # too small
    linear(torch.randn(WORK // n), torch.randn(n, WORK // n))  # a lone vector
    large = torch.randn(WORK // n, n)
    linear(large.double(), torch.randn(n, n).double())
    linear(large.bfloat16(), torch.randn(n, n).bfloat16())
    linear(large, torch.randn(n, 2 * n)[:, :n])  # columns of a wider matrix
    linear(large.to("meta"), torch.randn(n, n).to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(large, torch.randn(n, n)).dtype == torch.bfloat16
    assert len(calls) == HAS_ONEDNN


def test_without_onednn_it_is_torchs(monkeypatch, always):
    monkeypatch.setattr(module, "HAS_ONEDNN", False)
    x, weight = torch.randn(4, 3), torch.randn(5, 3)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
