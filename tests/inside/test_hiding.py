"""Hidden tokens are seen by nobody, wherever attention is made."""

from typing import Any

import pytest
import torch

import qkv
from models.tiny import SMALL, batch_for, difference, make_lively
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.inside.hiding import hide_tokens
from qkv.inside.seats import find_seats

NAMES = ("bahdanau-tiny", "transformer-tiny", "bert-tiny", "deberta-v3-base", "gpt-tiny", "llama-tiny", "vit-digits")


def pass_of(name: str) -> tuple[Any, Any, str]:
    small = SMALL[name]
    net = make_lively(small)
    return net, batch_for(small), find_seats(net)[0].spec.key_stream


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_no_map_of_the_stream_looks_at_a_hidden_token(name):
    net, batch, stream = pass_of(name)
    before = net(*batch)
    with hide_tokens(net, [1]), qkv.look(net) as seen:
        during = net(*batch)
    for spec in seen.maps:
        weights = seen.weights(spec.layer, spec.kind, spec.query_stream)
        assert bool((weights[..., 1] == 0).all()) == (spec.key_stream == stream)
    assert difference(during, before) > 1e-4
    assert torch.equal(net(*batch), before), "nothing stays behind"


@torch.inference_mode()
def test_hiding_the_last_tokens_of_a_text_is_having_them_as_padding():
    net, (ids, *_), _ = pass_of("bert-tiny")
    mask = torch.ones_like(ids, dtype=torch.bool)
    padded = mask.clone()
    padded[:, -2:] = False
    with hide_tokens(net, [ids.size(1) - 2, ids.size(1) - 1]):
        hidden = net.encode(ids, mask)
    assert difference(hidden[:, :-2], net.encode(ids, padded)[:, :-2]) <= 1e-6


def test_what_cannot_be_hidden_is_refused():
    net, batch, _ = pass_of("swin-digits")
    with pytest.raises(UnsupportedError, match="Windows move"), hide_tokens(net, [0]):
        pass
    net, batch, _ = pass_of("bert-tiny")
    for place in (-1, batch[0].size(1)):
        with pytest.raises(ConfigError, match=f"no token {place} to hide"), hide_tokens(net, [place]):
            net(*batch)
    with pytest.raises(UnsupportedError, match="call net"), hide_tokens(net.train(), [0]):
        pass
