"""Objectives with the tokenizers and nets that people will use, on the prose that every machine has."""

from dataclasses import replace

import pytest
import torch

from qkv.base import seeds
from qkv.data.labelled import Labelled
from qkv.data.text import open_documents
from qkv.models import get_size
from qkv.tasks.causal import Causal
from qkv.tasks.classify import TextClassify
from qkv.tasks.codec import TextCodec
from qkv.tasks.masked import Masked
from qkv.text.train import train_byte_bpe, train_wordpiece
from qkv.training.loop import Stepped
from tasks.small_texts import learn

PROSE = [text[:3000] for text in open_documents("pydoc").train[:12]]
WIDTHS = {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64, "max_len": 64, "dropout": 0.0}
PIECES, BYTES = train_wordpiece(PROSE, 300), train_byte_bpe(PROSE, 300)


WORDS = {"def return": "code", "the of": "prose"}


def tiny(size: str, **changes):
    family, cfg = get_size(size)
    return family.net(replace(cfg, vocab_size=300, **WIDTHS | changes))


def losses_of(training) -> list[float]:
    return [event.loss for event in training.run() if isinstance(event, Stepped)]


@pytest.mark.parametrize("tokenizer", [PIECES, BYTES])
def test_the_tokenizers_are_what_objectives_ask_for(tokenizer):
    assert isinstance(tokenizer, TextCodec)


def test_byte_pairs_and_a_decoder_lose_no_byte_and_learn(tmp_path):
    seeds.plant(0, 0)
    net = tiny("gpt-tiny")
    task = Causal(BYTES, net.cfg)
    windows = task.encode(PROSE)
    told = [i for window in windows for i in window[1:].tolist()]
    assert BYTES.decode(told) == "".join(PROSE)
    assert told.count(task.end_id) == len(PROSE)
    losses = losses_of(learn(net, task, windows, tmp_path, steps=16, budget=512, validate_every=16))
    assert losses[-1] < 0.9 * losses[0]


def test_padding_beside_a_decoder_changes_nothing():
    net = tiny("gpt-tiny").eval()
    task = Causal(BYTES, net.cfg)
    rows = [torch.arange(10, 50), torch.arange(60, 65)]
    together, alone = task.loss(net, task.batch(rows)), [task.loss(net, task.batch([row])) for row in rows]
    torch.testing.assert_close(together.total, alone[0].total + alone[1].total, rtol=1e-6, atol=0)


def test_word_pieces_hide_whole_words_and_an_encoder_learns(tmp_path):
    seeds.plant(0, 0)
    net = tiny("bert-tiny", head="mlm")
    task = Masked(PIECES, net.cfg)
    passages = task.encode(PROSE)
    inside = [i for passage in passages for i in passage.ids[1:-1].tolist()]
    assert inside == [i for text in PROSE for i in PIECES.encode(text, special=False).ids]
    PIECES.save(tmp_path)
    vocabulary = (tmp_path / "vocab.txt").read_text("utf-8").split("\n")
    parts = torch.tensor([i for i, piece in enumerate(vocabulary) if piece.startswith("##")])
    n_parts = 0
    for number, passage in enumerate(passages):
        seen = task.vary(passage, 0, 0, number)
        begins = ~torch.isin(passage.ids, parts)
        for word in begins.cumsum(0).unique():
            assert len(set(seen.chosen[begins.cumsum(0) == word].tolist())) == 1
        n_parts += int((~begins & seen.chosen).sum())
    assert n_parts > 20
    losses = losses_of(learn(net, task, passages, tmp_path, steps=16, budget=1024, validate_every=16))
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])


def freeze(net):
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith(("head", "pooler")))
    return net


@pytest.mark.parametrize("size", ["bert-tiny", "gpt-tiny"])
def test_a_new_head_learns_on_a_frozen_body_and_goes_on(size, tmp_path):
    def make(steps):
        seeds.plant(0, 0)
        net = freeze(tiny(size, head="classify"))
        task = TextClassify(PIECES if size == "bert-tiny" else BYTES, net.cfg, ("code", "prose"))
        examples = [task.encode(Labelled(f"{i} {words}", label)) for i in range(8) for words, label in WORDS.items()]
        return learn(net, task, examples, tmp_path, steps=steps, budget=512, ema=0.5, schedule="constant")

    training = make(16)
    before = {name: p.detach().clone() for name, p in training.net.named_parameters()}
    losses = losses_of(training)
    assert losses[-1] < losses[1]
    for name, parameter in training.net.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
    longer = make(20)
    assert longer.resume() == []
    assert longer.at.step == 16
    assert len(losses_of(longer)) == 4
