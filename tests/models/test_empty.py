"""Nets without memory, and the refusal of those that no memory holds."""

from dataclasses import replace

import pytest
import torch

from models.tiny import SMALL, make
from qkv.base.errors import ConfigError
from qkv.models import get_size
from qkv.models.empty import build_empty, check_memory, memory_size


@pytest.mark.parametrize("name", ["bert-tiny", "swin-tiny-patch4-window7-224", "transformer-tiny", "rnn-tiny"])
def test_it_has_every_name_and_shape_and_no_number(name):
    small = SMALL[name]
    empty, net = build_empty(*small), make(small)
    assert {n: (x.shape, x.dtype) for n, x in empty.state_dict().items()} == {
        n: (x.shape, x.dtype) for n, x in net.state_dict().items()
    }
    assert {x.device.type for x in (*empty.parameters(), *empty.buffers())} == {"meta"}
    assert torch.empty(1).device.type == "cpu"


def test_what_no_memory_holds_is_refused_by_its_size():
    family, cfg = get_size("gpt2")
    check_memory(build_empty(family, cfg), 4, "here")
    wide = replace(cfg, d_model=2**20, n_heads=1024)
    with pytest.raises(ConfigError, match=r"here asks for \d[\d,]* parameters, \d[\d,]* bytes; the memory of this"):
        check_memory(build_empty(family, wide), 4, "here")


def test_the_tables_that_no_file_holds_count(monkeypatch):
    family, cfg = get_size("transformer-tiny")
    net = build_empty(family, replace(cfg, max_len=2**20))
    parameters = 4 * sum(x.numel() for x in net.parameters())
    monkeypatch.setattr("qkv.models.empty.memory_size", lambda: parameters + 1)
    with pytest.raises(ConfigError, match="asks for"):
        check_memory(net, 4, "here")
    monkeypatch.setattr("qkv.models.empty.memory_size", lambda: None)
    check_memory(net, 4, "here")


def test_memory_is_that_of_this_machine():
    assert (memory_size() or 2**30) >= 2**28
