"""Texts of mixed length: the same numbers without padding as with it, in batches of bounded size."""

from typing import Any

import pytest
import torch

import qkv
from model.public_folders import TEXTS, bert_folder, deberta_folder
from qkv.inside.hiding import hide_tokens
from qkv.model import batches
from qkv.nn.ragged import encode_ragged
from qkv.text.public import Encoding

MIXED = ["bird", *TEXTS[:3], "a red bird", " ".join(TEXTS[3:5])]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Any:
    folder = tmp_path_factory.mktemp("bert")
    bert_folder(folder, "ForSequenceClassification")
    return qkv.load(folder)


@pytest.fixture
def ragged(monkeypatch) -> list[Any]:
    """Return what fills with the batches that are read without padding."""
    read = encode_ragged
    seen: list[Any] = []
    monkeypatch.setattr(batches, "encode_ragged", lambda *given: seen.append(given) or read(*given))
    return seen


def encoded(*lengths: int) -> list[Encoding]:
    return [Encoding([7] * n, [0] * n, [(0, 1)] * n, [None] * n, [False] * n) for n in lengths]


def ask(model: Any) -> torch.Tensor:
    """Return vectors of both kinds and probabilities, of texts and of pairs, one row per text."""
    said = [model.embed(MIXED), model.embed(MIXED, pooling="first")]
    for pairs in (None, MIXED[::-1]):
        rows = model.predict(MIXED, pairs, truncate=True)
        said.append(torch.tensor([[one.probability for one in sorted(row)] for row in rows]))
    return torch.cat(said, 1)


def test_they_are_read_without_padding_and_nothing_changes(bert, ragged, monkeypatch):
    found = ask(bert)
    assert len(ragged) == 4
    monkeypatch.setattr(batches, "_pays", lambda net, batch: False)
    wanted = ask(bert)
    assert len(ragged) == 4
    assert (found - wanted).abs().max() <= 3e-6 * max(1.0, float(wanted.abs().max()))
    monkeypatch.setattr(batches, "PLACES", 1)  # every text by itself
    alone = ask(bert)
    assert (found - alone).abs().max() <= 3e-6 * max(1.0, float(alone.abs().max()))


def test_texts_of_one_length_need_no_row(bert, ragged):
    bert.embed(TEXTS[:1] * 3)
    assert not ragged


def test_nets_with_scores_of_their_own_pad(ragged, tmp_path):
    deberta_folder(tmp_path)
    model: Any = qkv.load(tmp_path)
    together = model.embed(MIXED)
    alone = torch.cat([model.embed([text]) for text in MIXED])
    assert not ragged and (together - alone).abs().max() <= 1e-5


def test_who_looks_or_hides_finds_a_row_for_each_text(bert, ragged):
    with qkv.look(bert) as seen:
        bert.predict(MIXED)
    assert seen.weights(0).size(0) == len(MIXED)
    with hide_tokens(bert, [1]):
        changed = bert.embed(MIXED)
    assert not ragged and (changed - bert.embed(MIXED)).abs().max() > 1e-3


def test_a_batch_is_bounded_padding_counted(monkeypatch):
    monkeypatch.setattr(batches, "PLACES", 20)
    found = list(batches.batches(encoded(5, 5, 5, 5, 1, 10, 11, 30, 2), 3))
    assert [batch.mask.sum(1).tolist() for batch in found] == [[5, 5, 5, 5], [1, 10], [11], [30], [2]]
    assert found[1].ids.tolist()[0] == [7] + [3] * 9
    assert not list(batches.batches([], 0))
