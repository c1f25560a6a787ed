"""Translations come in the order of their texts; an alignment has a column for each source token and a row for each of
the target's."""

import json
import re
from typing import Any

import numpy as np
import pytest

import qkv
from qkv.base.errors import DataError, UnsupportedError
from qkv.evaluation.translation import Translated
from qkv.text.tokenizer import train_tokenizer
from qkv.verbs.translate import END, align, translate
from verbs.small_runs import PAIRS, make_model, save_model

TEXTS = [pair.source for pair in PAIRS[:40:3]]


@pytest.mark.parametrize("size", ["rnn-tiny", "bahdanau-tiny", "luong-tiny", "transformer-tiny"])
def test_order_is_kept_and_folders_are_models(size, tmp_path):
    model = make_model(size)
    together = translate(model, TEXTS, beams=2)
    assert [one.source for one in together] == TEXTS
    apart = [translate(model, [text], beams=2)[0] for text in TEXTS]
    assert [one.text for one in together] == [one.text for one in apart]
    assert [one.score for one in together] == pytest.approx([one.score for one in apart], rel=1e-4)
    folder = save_model(tmp_path / "model", size)
    assert [one.text for one in qkv.translate(folder, TEXTS, beams=2)] == [one.text for one in together]
    assert [one.text for one in qkv.translate(str(folder), TEXTS[:2], beams=2)] == [one.text for one in together[:2]]
    assert all(one.alignment is None for one in together)


@pytest.mark.parametrize("beams", [1, 4])
def test_how_long_a_translation_may_be_goes_by_its_own_source(beams):
    """An untrained model may never end: what stops it is twice its source and twenty, not the longest of the batch."""
    model: Any = make_model("bahdanau-tiny", max_len=200)
    model.net.head.bias.data[model.net.cfg.end_id] = -1e9
    texts = ["one", "one red house, two green doors", "six blue"]
    task = model.task
    done = model.translate(texts, beams=beams)
    assert [len(one.ids) for one in done] == [2 * len(task.encode_source(text)) + 20 for text in texts]
    for text, one in zip(texts, done, strict=True):
        (alone,) = model.translate([text], beams=beams)
        assert alone.ids == one.ids
    assert [len(one.ids) for one in model.translate(texts, beams=beams, max_tokens=5)] == [5, 5, 5]


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("size", ["bahdanau-tiny", "luong-tiny", "transformer-tiny"])
def test_an_alignment_fits_its_tokens(size, beams):
    model = make_model(size)
    plain = translate(model, TEXTS, beams=beams, max_tokens=7)
    for one, without in zip(translate(model, TEXTS, beams=beams, max_tokens=7, alignment=True), plain, strict=True):
        assert (one.text, one.score) == (without.text, without.score), "looking changes nothing"
        assert one.alignment is not None
        assert list(one.alignment.source) == [*model.source.pieces(one.source), END]
        assert one.alignment.weights.shape == (len(one.alignment.target), len(one.alignment.source))
        np.testing.assert_allclose(one.alignment.weights.sum(1), 1, atol=1e-5)
        assert 0 < len(one.alignment.target) <= 7


def test_the_card_names_the_head_that_is_shown(tmp_path):
    model = make_model()
    (seen,) = model.translate(TEXTS[:1], weights=True, max_tokens=4)
    assert seen.weights is not None
    mean: Any
    shown: Any
    (mean,) = translate(model, TEXTS[:1], alignment=True, max_tokens=4)
    np.testing.assert_array_equal(mean.alignment.weights, seen.weights[1].mean(0))
    model.card["alignment_head"] = (0, 2)
    model.save(tmp_path)
    for one in (model, tmp_path):
        (shown,) = translate(one, TEXTS[:1], alignment=True, max_tokens=4)
        np.testing.assert_array_equal(shown.alignment.weights, seen.weights[0][2])
    assert json.loads((tmp_path / "config.json").read_text())["card"]["alignment_head"] == [0, 2]


def test_a_space_is_a_token_and_not_the_end():
    """Characters: the space between two words must not look like the end of the sentence."""
    model = make_model()
    model.source = model.target = train_tokenizer("chars", ["ab c"])
    ids = [*model.target.encode("a b").ids, model.net.cfg.end_id]
    weights = {1: np.full((4, len(ids), 4), 0.25, np.float32)}
    shown = align(model, "ab ", Translated(text="a b", score=0.0, ids=ids, weights=weights))
    assert list(shown.target) == ["a", " ", "b", END]
    assert list(shown.source) == ["a", "b", " ", END]


def test_bf16_translates_alike():
    model = make_model("transformer-tiny")
    exact, rough = translate(model, TEXTS), translate(model, TEXTS, dtype="bf16")
    assert [one.score for one in rough] == pytest.approx([one.score for one in exact], rel=0.05)


def test_a_fixed_context_has_no_alignment():
    with pytest.raises(UnsupportedError, match="reads its source as one fixed context: there is no alignment to show"):
        translate(make_model("rnn-tiny"), TEXTS, alignment=True)


def test_text_that_is_none():
    assert translate(make_model(), []) == []
    with pytest.raises(DataError, match=re.escape("Text 2 of 2 is empty")):
        translate(make_model(), ["one", "\u2003"])
    with pytest.raises(DataError, match="half a character"):
        translate(make_model(), ["\ud800"])
