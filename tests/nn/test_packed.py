"""The packed copy says what its net says, at the precision it was asked for, and refuses what it cannot do."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from models.tiny import SMALL, Sentences, batch_for, difference, make, sentences
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.generation.search import beam_search, greedy
from qkv.inside.look import look
from qkv.nn import packed
from qkv.nn.packed import PackedLinear, PackedTable, pack
from qkv.nn.table import TokenTable

every_model = pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
TRANSFORMER = SMALL["transformer-tiny"]
ULP = 2.0**-7  # the distance between two neighbours in bfloat16, as a share of the smaller


@pytest.fixture
def net() -> nn.Module:
    return make(TRANSFORMER)


@pytest.fixture
def batch() -> Sentences:
    return sentences(TRANSFORMER.cfg)


@every_model
def test_in_fp32_the_plain_copy_is_bit_equal_and_the_packed_one_equal(small):
    net, batch = make(small), batch_for(small)
    with torch.no_grad():  # a bias that needs gradients takes another kernel
        expected = net(*batch)
    assert torch.equal(pack(net, torch.float32, blocks=False)(*batch), expected)
    assert difference(pack(net, torch.float32)(*batch), expected) < 1e-5


@every_model
def test_in_bf16_both_paths_are_as_near_as_the_type_lets_them(small):
    net, batch = make(small, std=0.2), batch_for(small)
    expected = net(*batch)
    for blocks in (True, False):
        logits = pack(net, torch.bfloat16, blocks=blocks)(*batch)
        assert logits.dtype == torch.bfloat16
        assert 1e-6 < (logits.float() - expected).norm() / expected.norm() < 0.03


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rows", [(1,), (4,), (2, 3), (33,), (2, 128)], ids=str)
def test_a_packed_layer_equals_the_plain_one(rows, dtype):
    weight, bias, other = torch.randn(48, 32, dtype=dtype), torch.randn(48, dtype=dtype), torch.randn(48, dtype=dtype)
    x = torch.randn(*rows, 32, dtype=dtype)
    fast, plain = (PackedLinear(weight, bias, blocks) for blocks in (True, False))
    for given in (None, other):
        expected = plain(x, given).float()
        assert torch.equal(expected, nn.functional.linear(x, weight, bias if given is None else given).float())
        assert fast(x, given).dtype == dtype
        assert ((fast(x, given).float() - expected).abs() / (1 + expected.abs())).max() < (
            ULP if dtype == torch.bfloat16 else 1e-5
        )


def test_a_packed_table_looks_up_and_scores():
    table, x, ids = TokenTable(30, 8), torch.randn(2, 3, 8), torch.tensor([[4, 0], [29, 4]])
    fast = PackedTable(table)
    assert torch.equal(fast(ids), table(ids))
    assert difference(fast.logits(x, torch.arange(30.0)), table.logits(x, torch.arange(30.0))) < 1e-5
    assert not hasattr(PackedTable(nn.Embedding(30, 8)), "scores")  # what never scores costs no second table


def test_all_products_are_packed(net):
    twin = pack(net)
    assert any(isinstance(part, PackedLinear) for part in twin.modules())
    assert not any(isinstance(part, nn.Linear | nn.Embedding) for part in twin.modules())
    assert {p.dtype for p in twin.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("size", ["transformer-tiny", "bahdanau-tiny", "luong-tiny"])
def test_searches_find_the_same_in_fp32(size):
    net, batch = make(SMALL[size]), sentences(SMALL[size].cfg)
    twin = pack(net, torch.float32)
    for search in (greedy, beam_search):
        ours, theirs = (search(one, batch.source, batch.source_mask, room=8) for one in (twin, net))
        assert [found.ids for found in ours] == [found.ids for found in theirs]


@pytest.mark.parametrize("size", ["transformer-tiny", "bahdanau-tiny", "luong-tiny", "rnn-tiny"])
def test_a_bf16_copy_decodes(size):
    net, batch = make(SMALL[size]), sentences(SMALL[size].cfg)
    found = beam_search(pack(net), batch.source, batch.source_mask, room=8)
    assert len(found) == 3 and all(1 <= len(one.ids) <= 8 for one in found)


def test_what_it_looks_at_can_be_seen(net, batch):
    with look(net) as expected:
        net(*batch)
    with look(twin := pack(net, torch.float32)) as seen:
        twin(*batch)
    for kind in ("self", "cross"):
        assert difference(seen.weights(1, kind), expected.weights(1, kind)) < 1e-5


def test_it_is_apart_from_its_net(net, batch):
    net.train()
    twin = pack(net, torch.float32)
    before = twin(*batch)
    assert net.training and all(p.requires_grad for p in net.parameters())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.1)
    assert torch.equal(twin(*batch), before)


@pytest.mark.parametrize(
    ("attempt", "word"),
    [
        (lambda twin: twin.train(), "trained"),
        (lambda twin: twin.state_dict(), "saved"),
        (lambda twin: torch.save(twin, io.BytesIO()), "pickled"),
        (lambda twin: pickle.dumps(twin), "pickled"),
        (lambda twin: copy.deepcopy(twin), "copied"),
        (lambda twin: pack(twin), "copied"),
        (lambda twin: twin.to(torch.float64), "moved or cast"),
        (lambda twin: twin.bfloat16(), "moved or cast"),
        (lambda twin: twin.load_state_dict({}), "loaded into"),
    ],
)
@pytest.mark.parametrize("size", ["transformer-tiny", "transformer tie=none", "bahdanau-tiny"])
def test_what_it_refuses_it_refuses_in_one_sentence_and_stays_whole(size, attempt, word):
    twin, batch = pack(make(SMALL[size]), torch.float32), sentences(SMALL[size].cfg)
    before = twin(*batch)
    with pytest.raises(UnsupportedError, match=rf"A packed net cannot be {word}: .* Use the net it was packed from\.$"):
        attempt(twin)
    assert torch.equal(twin.eval()(*batch), before)


def test_it_says_what_it_cannot_pack(net, monkeypatch):
    with pytest.raises(ConfigError, match="bfloat16 or float32 nets, not float16"):
        pack(net, torch.float16)
    with pytest.raises(UnsupportedError, match="on the CPU; this one is on meta"):
        pack(net.to("meta"))


def test_bf16_is_refused_where_it_would_crawl(net, batch, monkeypatch):
    monkeypatch.setattr(packed, "has_fast_bf16", lambda: False)
    with pytest.raises(UnsupportedError, match=r"no fast bfloat16: use pack\(net, torch.float32\)"):
        pack(net)
    assert pack(net, torch.float32)(*batch).isfinite().all()
