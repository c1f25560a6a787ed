"""What a model is, told without reading a weight of it into memory."""

import pytest
import torch

from qkv.base.errors import ConfigError
from qkv.models import get_size
from qkv.verbs.info import info, list_models
from verbs.small_runs import make_model, save_model


def test_every_size_is_listed_without_memory(monkeypatch):
    devices = set()
    real = torch.nn.Parameter.__new__

    def watch(cls, data=None, requires_grad=True):
        devices.add(None if data is None else data.device.type)
        return real(cls, data, requires_grad)

    monkeypatch.setattr(torch.nn.Parameter, "__new__", watch)
    models = {one.name: one for one in list_models()}
    assert devices == {"meta"}
    assert {"rnn-tiny", "bahdanau-tiny", "rnnsearch-50", "transformer-tiny", "transformer-base"} <= models.keys()
    # Vaswani et al. 2017, table 3, counts 65 and 213 million, with a vocabulary of about 37,000
    assert models["transformer-base"].parameters == pytest.approx(65e6, rel=0.05)
    assert models["transformer-big"].parameters == pytest.approx(213e6, rel=0.05)
    for one in models.values():
        assert sum(one.parts.values()) == one.parameters
        assert one.card == {}
        assert len(one.about) > 20


def test_a_size_and_a_folder_are_told_alike(tmp_path):
    folder = save_model(tmp_path / "model", "bahdanau-tiny")
    told, model = info(str(folder)), make_model("bahdanau-tiny")
    assert told.parameters == sum(p.numel() for p in model.net.parameters())
    assert told.parts.keys() == {name for name, _ in model.net.named_children()} - {"drop"}
    assert told.card == {"data": "words.tsv"}
    assert told.config["d_decoder"] == 8
    assert [(spec.kind, spec.heads) for spec in told.maps] == [("cross", 1)]
    size = info("bahdanau-tiny")
    assert (size.family, size.about) == (told.family, told.about)
    assert size.config["d_decoder"] == get_size("bahdanau-tiny")[1].d_decoder


def test_a_fixed_context_has_no_maps():
    assert info("rnn-tiny").maps == ()


def test_a_name_that_is_none():
    with pytest.raises(ConfigError, match=r'No model "transformer-bse".*Did you mean "transformer-base"'):
        info("transformer-bse")
