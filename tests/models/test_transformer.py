"""What is particular to the Transformer; that it equals the reference is shown by tests/parity/test_marian.py."""

import pytest
import torch

from models.tiny import SMALL, difference, make, sentences
from qkv.base.errors import ConfigError, ShapeError
from qkv.generation.search import beam_search, greedy
from qkv.models import get_family
from qkv.models.transformer import SIZES
from qkv.nn.where import Where
from qkv.ops.masks import keys_mask, reach_mask

TINY = SMALL["transformer-tiny"]


@pytest.mark.parametrize(("size", "millions"), [("transformer-base", 63.1), ("transformer-big", 214.2)])
def test_published_sizes(size, millions):
    """Vaswani et al. 2017, table 3: 65 and 213 million, rounded, with a shared vocabulary of about 37,000."""
    cfg = SIZES[size]
    assert (cfg.n_layers, cfg.n_decoder_layers, cfg.vocab_size, cfg.pre_norm) == (6, 6, 37_000, False)
    assert (cfg.d_model, cfg.n_heads, cfg.d_ff) == ((512, 8, 2048) if size == "transformer-base" else (1024, 16, 4096))
    assert cfg.dropout == (0.1 if size == "transformer-base" else 0.3)
    with torch.device("meta"):
        net = get_family("transformer").net(cfg)
    assert sum(p.numel() for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_tied_tables_are_one_and_others_are_not():
    counts = {tie: sum(p.numel() for p in make(TINY, tie=tie).parameters()) for tie in ("all", "output", "none")}
    table = TINY.cfg.vocab_size * TINY.cfg.d_model
    assert counts["output"] - counts["all"] == table
    assert counts["none"] - counts["output"] == table


def test_the_root_of_the_width_scales_embeddings():
    """Section 3.4; without it positions would drown the words."""
    net, plain = make(TINY), make(TINY, scale_embed=False)
    plain.load_state_dict(net.state_dict())
    with torch.no_grad():
        plain.token.weight.mul_(TINY.cfg.d_model**0.5)
    batch = sentences(TINY.cfg)
    assert torch.equal(plain.encode(batch.source, batch.source_mask), net.encode(batch.source, batch.source_mask))


def test_the_bias_of_the_logits_is_added_to_all_rows():
    net = make(TINY, logits_bias=True)
    batch = sentences(TINY.cfg)
    before = net(*batch)
    bias = torch.randn_like(net.logits_bias)
    net.logits_bias.copy_(bias)
    torch.testing.assert_close(net(*batch), before + bias, rtol=0, atol=1e-6)


def test_a_mask_over_the_whole_buffer_is_a_slice():
    """What a compiled step does, so that no shape changes, equals what an eager one reads."""
    net = make(TINY)
    batch = sentences(TINY.cfg)
    eager, whole = (net.start(batch.source, batch.source_mask, beams=1, room=9) for _ in range(2))
    memory_where = Where(mask=keys_mask(batch.source_mask))
    for i, ids in enumerate(batch.target.unbind(1)):
        at = torch.tensor([i])
        x = net._embed(net._target_table(), ids[:, None], at[None])
        x = net.decoder(x, Where(mask=reach_mask(at, 9), at=at), None, memory_where, whole.caches)
        assert difference(net._logits(x[:, 0]), net.step(ids, eager)) <= 2e-6


def test_what_is_longer_than_the_positions_is_refused():
    net = make(TINY)
    n = TINY.cfg.max_len
    net(*sentences(TINY.cfg, (n,), n))
    for lengths, n_target in (((n + 1,), 2), ((2,), n + 1)):
        with pytest.raises(ShapeError, match=f"Input has {n + 1} tokens; this model has {n} positions"):
            net(*sentences(TINY.cfg, lengths, n_target))
    batch = sentences(TINY.cfg, (2,))
    for search in (greedy, beam_search):
        with pytest.raises(ShapeError, match=f"Output may have {n + 1} tokens; this model has {n} positions"):
            search(net, batch.source, batch.source_mask, room=n + 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 18}, r"d_model \(18\) must be even and a multiple of n_heads \(4\)"),
        ({"d_model": 15, "n_heads": 5}, r"d_model \(15\) must be even"),
        ({"target_vocab_size": 31}, r'tie "all" wants one vocabulary, but vocab_size is 30 and target_vocab_size 31'),
    ],
)
def test_configurations_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        make(TINY, **changes)
