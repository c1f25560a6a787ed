"""A folder that transformers wrote, loaded, asked and written back: encoders of texts."""

from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, BertForMaskedLM

import qkv
from model.public_folders import TEXTS, bert_folder
from qkv.base.errors import DataError, ShapeError, UnsupportedError, WeightsError


def test_gaps_are_filled_as_the_reference_fills_them(tmp_path):
    reference, tokenizer = bert_folder(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    text = "the [MASK] cat sees a [MASK] bird"
    batch = tokenizer(text, return_tensors="pt")
    wanted = reference(**batch).logits[batch["input_ids"] == tokenizer.mask_token_id].softmax(-1).topk(3)
    found = qkv.load(tmp_path).fill(text, top=3)
    for gap, values, ids in zip(found, wanted.values.tolist(), wanted.indices.tolist(), strict=True):
        assert [guess.probability for guess in gap] == pytest.approx(values, rel=1e-4)
        assert [guess.token for guess in gap] == [
            token.removeprefix("##") for token in tokenizer.convert_ids_to_tokens(ids)
        ]
        assert all("[MASK]" in guess.text and "[CLS]" not in guess.text for guess in gap)  # the other gap stays
    assert len(found) == 2


def test_labels_have_their_names_and_the_reference_s_probabilities(tmp_path):
    names = {0: "calm", 1: "loud", 2: "odd"}
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    reference = bert_folder(tmp_path, "ForSequenceClassification", **labels)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    wanted = reference(**tokenizer(TEXTS[:5], return_tensors="pt", padding=True)).logits.softmax(-1)
    model = qkv.load(tmp_path)
    found = model.predict(TEXTS[:5])
    for row, labels in zip(wanted.tolist(), found, strict=True):
        assert {one.label: one.probability for one in labels} == pytest.approx(
            dict(zip(names.values(), row, strict=True)), rel=1e-4
        )
        assert labels == sorted(labels, key=lambda one: -one.probability)
    model.save(tmp_path / "again", format="hf")
    assert qkv.load(tmp_path / "again").labels == ["calm", "loud", "odd"]


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_a_text_s_vector_does_not_depend_on_its_batch(pooling, tmp_path):
    bert_folder(tmp_path, "Model")
    model = qkv.load(tmp_path)
    together = model.embed([*TEXTS, "bird"], pooling=pooling)
    alone = torch.cat([model.embed([text], pooling=pooling) for text in [*TEXTS, "bird"]])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    assert together.shape == (len(TEXTS) + 1, 24)


def test_back_in_the_reference_it_is_the_same_net(tmp_path):
    reference = bert_folder(tmp_path / "hf")
    qkv.load(tmp_path / "hf").save(tmp_path / "back", format="hf")
    whole = (tmp_path / "hf/model.safetensors").read_bytes()
    assert (tmp_path / "back/model.safetensors").read_bytes() == whole
    load: Any = BertForMaskedLM.from_pretrained
    loaded, info = load(tmp_path / "back", output_loading_info=True)
    assert not any(info.values())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "back")
    batch = tokenizer(TEXTS[0], return_tensors="pt")
    assert torch.equal(loaded.eval()(**batch).logits, reference(**batch).logits)


def test_in_our_own_format_it_is_the_same_model(tmp_path):
    bert_folder(tmp_path / "hf")
    model = qkv.load(tmp_path / "hf")
    model.save(tmp_path / "own")
    again, first = (one.fill("the [MASK] cat")[0] for one in (qkv.load(tmp_path / "own"), model))
    assert [guess.text for guess in again] == [guess.text for guess in first]
    (tmp_path / "own/vocab.txt").write_text((tmp_path / "own/vocab.txt").read_text().replace("\nbird\n", "\nbirdie\n"))
    with pytest.raises(WeightsError, match="is not the file that"):
        qkv.load(tmp_path / "own")


def test_what_it_cannot_do_is_said(tmp_path):
    bert_folder(tmp_path / "mlm")
    model = qkv.load(tmp_path / "mlm")
    with pytest.raises(UnsupportedError, match="A bert model cannot generate; it can fill, embed, predict"):
        model.generate(["a"])
    with pytest.raises(UnsupportedError, match="has no head for labels"):
        model.predict(["a"])
    with pytest.raises(DataError, match=r"There is no \[MASK\] in the text"):
        model.fill("no gap")
    with pytest.raises(ShapeError, match="this model has 32 positions"):
        model.fill("[MASK] " + "bird " * 40)
    with pytest.raises(DataError, match="Text 2 of 2 is empty"):
        model.embed(["one", " "])


def test_a_model_is_looked_into_as_its_net_is(tmp_path):
    bert_folder(tmp_path)
    model = qkv.load(tmp_path)
    with qkv.look(model) as seen:
        model.fill("the [MASK] cat")
    with qkv.look(model.net) as again:
        model.fill("the [MASK] cat")
    assert torch.equal(seen.weights(1, "self", "text"), again.weights(1, "self", "text"))
