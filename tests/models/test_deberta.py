"""What is particular to DeBERTa; that it equals the reference is shown by tests/parity/test_deberta.py."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from qkv.base.errors import ConfigError, ShapeError
from qkv.models.deberta import HF, SIZES, Config, ConvBlock, Deberta
from qkv.nn.packed import pack
from qkv.nn.where import Where

TINY = Config(vocab_size=30, d_model=24, n_layers=2, n_heads=3, d_ff=40, max_len=24, n_buckets=8)
NETS = {
    "v3": TINY,
    "v2, convolution": replace(TINY, conv_width=5, conv_act="gelu"),
    "apart, exact": replace(TINY, shared=False, n_buckets=None, max_distance=3, norm_relative=False),
    "content to position alone": replace(TINY, position_to_content=False),
    "position to content alone": replace(TINY, content_to_position=False, shared=False),
}
every_net = pytest.mark.parametrize("cfg", NETS.values(), ids=NETS)
V3 = {  # https://huggingface.co/microsoft/deberta-v3-base, read 2026-11-21 by way of its copies
    "model_type": "deberta-v2", "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
    "hidden_size": 768, "initializer_range": 0.02, "intermediate_size": 3072, "max_position_embeddings": 512,
    "relative_attention": True, "position_buckets": 256, "norm_rel_ebd": "layer_norm", "share_att_key": True,
    "pos_att_type": "p2c|c2p", "layer_norm_eps": 1e-7, "max_relative_positions": -1, "position_biased_input": False,
    "num_attention_heads": 12, "num_hidden_layers": 12, "type_vocab_size": 0, "vocab_size": 128100,
}  # fmt: skip
V2 = V3 | {
    "hidden_size": 1536, "intermediate_size": 6144, "num_attention_heads": 24, "num_hidden_layers": 24,
    "attention_head_size": 64, "conv_kernel_size": 3, "conv_act": "gelu", "pad_token_id": 0, "pooler_dropout": 0,
    "pooler_hidden_act": "gelu", "pooler_hidden_size": 1536, "pos_att_type": ["p2c", "c2p"],
}  # fmt: skip
CONFIGS = {
    "deberta-v3-xsmall": V3 | {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 6},
    "deberta-v3-small": V3 | {"num_hidden_layers": 6},
    "deberta-v3-base": V3,
    "deberta-v3-large": V3
    | {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24},
    "mdeberta-v3-base": V3 | {"vocab_size": 251_000},
    "deberta-v2-xlarge": V2,
    "deberta-v2-xxlarge": V2 | {"num_hidden_layers": 48},
}
COUNTS = {
    "deberta-v3-xsmall": 70_682_112,
    "deberta-v3-small": 141_304_320,
    "deberta-v3-base": 183_831_552,
    "deberta-v3-large": 434_012_160,
    "mdeberta-v3-base": 278_218_752,
    "deberta-v2-xlarge": 884_593_152,
    "deberta-v2-xxlarge": 1_564_549_632,
}


def make(cfg: Config) -> Any:
    """Build a lively net."""
    net = Deberta(cfg)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.5)
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    return net.eval()


def padded(side: str, t: int = 11, more: int = 4) -> tuple[torch.Tensor, torch.Tensor, slice]:
    """Return a text alone and padded with random ids, and where it lies there."""
    ids = torch.randint(4, 30, (1, t + more))
    place = slice(0, t) if side == "right" else slice(more, t + more)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[:, place] = True
    return ids, mask, place


@pytest.mark.parametrize("size", CONFIGS)
def test_published_sizes(size):
    assert HF.read_config(CONFIGS[size]) == SIZES[size]
    with torch.device("meta"):
        net = Deberta(SIZES[size])
    assert sum(p.numel() for p in net.parameters()) == COUNTS[size]


def test_every_size_is_tested():
    assert CONFIGS.keys() == COUNTS.keys() == SIZES.keys()


@every_net
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(cfg, side):
    net = make(cfg)
    ids, mask, place = padded(side)
    torch.testing.assert_close(net(ids, mask)[:, place], net(ids[:, place]), rtol=1e-5, atol=1e-5)


@every_net
def test_a_text_read_backwards_is_another(cfg):
    net = make(cfg)
    ids = torch.randint(4, 30, (1, 9))
    assert (net(ids).flip(1) - net(ids.flip(1))).abs().max() > 0.1


@every_net
def test_texts_longer_than_in_training_are_read(cfg):
    net, ids = make(cfg), torch.randint(4, 30, (2, 60))
    assert net(ids).isfinite().all()
    far, near = net.distances(60), net.distances(24)
    assert torch.equal(far[60 - 24 : 60 + 25], near) and torch.equal(far[0], far[9])


@every_net
def test_packed_nets_say_the_same(cfg):
    net = make(cfg)
    ids, mask, _ = padded("right")
    with torch.inference_mode():
        torch.testing.assert_close(pack(net, torch.float32)(ids, mask), net(ids, mask), rtol=1e-5, atol=1e-5)


@every_net
def test_a_text_of_padding_alone_hurts_nobody(cfg):
    net = make(cfg).train()
    ids = torch.randint(4, 30, (2, 5))
    mask = torch.tensor([[True] * 5, [False] * 5])
    out = net(ids, mask)
    out[0].sin().sum().backward()
    assert out.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_only_the_first_block_has_the_convolution():
    net = make(NETS["v2, convolution"])
    assert [isinstance(block, ConvBlock) for block in net.stack] == [True, False]


def test_distances_are_dropped_in_training():
    net = make(replace(TINY, dropout=0.5, dropout_attention=0.0))
    attention = net.stack.blocks[0].attention.train()
    q, where = torch.randn(2, 1, 3, 6, 8), Where(relative=net.distances(6))
    assert not torch.equal(attention.see(*q, where).bias, attention.see(*q, where).bias)


def test_disentangled_attention_wants_distances_and_no_lengths():
    net, q = make(TINY), torch.randn(1, 3, 6, 8)
    for where in (Where(), Where(relative=net.distances(6), lengths=(2, 4))):
        with pytest.raises(ShapeError, match="the embedded distances"):
            net.stack.blocks[0].attention.see(q, q, where)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "positions added": ({"position_biased_input": True}, '"position_biased_input" is True'),
    "positions added, unsaid": ({"position_biased_input": None}, '"position_biased_input" is True'),
    "no distances": ({"relative_attention": False}, '"relative_attention" is False'),
    "segments": ({"type_vocab_size": 2}, '"type_vocab_size" is 2'),
    "narrow tokens": ({"embedding_size": 128}, '"embedding_size" is 128'),
    "wide heads": ({"attention_head_size": 128}, '"attention_head_size" is 128'),
    "odd heads": ({"attention_head_size": "x"}, "\"attention_head_size\" is 'x'"),
    "heads without number": ({"attention_head_size": 64, "num_attention_heads": {}}, '"attention_head_size" is 64'),
    "no terms": ({"pos_att_type": []}, '"pos_att_type" is \\[\\]'),
    "another term": ({"pos_att_type": "p2p"}, "\"pos_att_type\" is 'p2p'"),
    "terms that are none": ({"pos_att_type": [["c2p"]]}, '"pos_att_type" is'),
    "buckets that are no number": ({"position_buckets": "many"}, "\"position_buckets\" is 'many'"),
    "another norm": ({"norm_rel_ebd": "batch_norm"}, "\"norm_rel_ebd\" is 'batch_norm'"),
    "more buckets than distances": ({"max_relative_positions": 100}, "the distance 100"),
    "one bucket": ({"position_buckets": 1}, "1 n_buckets"),
    "an even convolution": ({"conv_kernel_size": 4}, "conv_width is 4"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_what_the_net_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        HF.read_config(V3 | change)


def test_a_net_without_any_order_is_refused():
    with pytest.raises(ConfigError, match="any order"):
        replace(TINY, content_to_position=False, position_to_content=False)
