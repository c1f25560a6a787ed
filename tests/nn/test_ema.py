import pytest
import torch
from torch import nn

from qkv.nn.ema import Ema


def drifting(net: nn.Module) -> None:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter))


def test_an_average_is_the_sum_of_its_past():
    net = nn.Linear(2, 2).double()
    ema, mean = Ema(net, 0.5), {name: p.detach().clone() for name, p in net.named_parameters()}
    for n in range(12):
        drifting(net)
        ema.update()
        share = min(0.5, (1 + n) / (10 + n))
        mean = {name: share * mean[name] + (1 - share) * p.detach() for name, p in net.named_parameters()}
    assert ema.updates == 12 and share == 0.5 < 12 / 21
    for name, value in ema.tensors().items():
        torch.testing.assert_close(value, mean[name], rtol=0, atol=1e-12)


def test_the_net_holds_the_averages_for_a_while_and_gets_its_own_back():
    net = nn.Linear(2, 2)
    ema = Ema(net, 0.9)
    drifting(net)
    ema.update()
    own = net.weight.detach().clone()
    with ema.applied():
        assert torch.equal(net.weight, ema.tensors()["weight"]) and not torch.equal(net.weight, own)
    assert torch.equal(net.weight, own)
    with pytest.raises(KeyboardInterrupt), ema.applied():
        raise KeyboardInterrupt
    assert torch.equal(net.weight, own)


def test_a_restored_average_goes_on_bit_for_bit():
    net = nn.Linear(2, 2)
    ema = Ema(net, 0.9)
    for _ in range(3):
        drifting(net)
        ema.update()
    other = Ema(net, 0.9)
    other.restore({name: value.clone() for name, value in ema.tensors().items()}, ema.updates)
    drifting(net)
    for one in (ema, other):
        one.update()
    assert all(torch.equal(value, other.tensors()[name]) for name, value in ema.tensors().items())


def test_the_averages_are_not_the_weights_themselves():
    net = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in Ema(net, 0.9).tensors().items()}
    ema = Ema(net, 0.9)
    drifting(net)
    assert all(torch.equal(value, before[name]) for name, value in ema.tensors().items())
