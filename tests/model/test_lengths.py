"""Texts longer than a model's positions: refused, cut, or read in pieces whose mean counts."""

import pytest
import torch

import qkv
from model.public_folders import bert_folder, gpt_folder, vit_folder
from qkv.base.errors import ConfigError, ShapeError
from qkv.model.lengths import average

LONG = "the small house sees a red bird " * 8


@pytest.fixture(scope="module", params=["bert", "gpt"])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    if request.param == "bert":
        bert_folder(folder, "ForSequenceClassification")
    else:
        gpt_folder(folder, "ForSequenceClassification", n_positions=32)
    return qkv.load(folder)


def pieces(model, **how) -> list[str]:
    """Return what a long text is cut into, as texts of their own."""
    if "stride" in how:
        spans = [one.spans for one in model.tokenizer.split(LONG, max_len=32, stride=how["stride"])]
    else:
        spans = [model.tokenizer.encode(LONG, max_len=32, truncate=True).spans]
    return [LONG[min(a for a, b in span if b) : max(b for _, b in span)] for span in spans]


def test_too_long_is_refused_by_the_text_s_number(model):
    for ask in (model.predict, model.embed):
        with pytest.raises(ShapeError, match=r"Text 2 of 2: Input has \d+ tokens; this model has 32 positions\. Use"):
            ask(["bird", LONG])
        assert len(ask([])) == 0


@pytest.mark.parametrize("how", [{"truncate": True}, {"stride": 4}], ids=str)
def test_what_is_read_is_the_pieces(model, how):
    parts = pieces(model, **how)
    assert (len(parts) > 1) == ("stride" in how)
    wanted = model.embed(parts).mean(0)
    torch.testing.assert_close(model.embed(["bird", LONG], **how)[1], wanted, rtol=0, atol=2e-5)
    found = {one.label: one.probability for one in model.predict(["bird", LONG], **how)[1]}
    for label in model.labels:
        said = [one.probability for row in model.predict(parts) for one in row if one.label == label]
        assert found[label] == pytest.approx(sum(said) / len(said), abs=1e-5)


def test_short_texts_are_read_as_ever(model):
    for how in ({"truncate": True}, {"stride": 4}):
        assert model.predict(["a red bird", "bird"], **how) == model.predict(["a red bird", "bird"])


def test_one_way_at_a_time_and_for_texts_alone(model, tmp_path):
    with pytest.raises(ConfigError, match="neither with truncate nor with pairs"):
        model.embed([LONG], truncate=True, stride=4)
    vit_folder(tmp_path)
    with pytest.raises(ConfigError, match="truncate and stride are for texts"):
        qkv.embed(tmp_path, ["a.png"], stride=4)


def test_the_mean_of_each_text():
    rows = torch.arange(8.0).view(4, 2)
    assert average(rows, [0, 1, 1, 1]).tolist() == [[0, 1], [4, 5]]
