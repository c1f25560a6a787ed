"""tables, diff, trace, convert: what compares models, on models that transformers wrote."""

import dataclasses
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import qkv
from model.public_folders import bert_folder, gpt_folder, vit_folder
from qkv.base.errors import ConfigError, UnsupportedError, WeightsError

COUNTS = {
    "gpt2": 124_439_808,
    "gpt2-medium": 354_823_168,
    "gpt2-large": 774_030_080,
    "gpt2-xl": 1_557_611_200,
    "openai-gpt": 116_534_784,
    "gpt3-175b": 174_604_259_328,
    "bert-base-uncased": 109_482_240,
    "roberta-large": 355_359_744,
    "distilbert-base-uncased": 66_362_880,
    "llama-3.1-405b": 405_853_388_800,
    "vit-base-patch16-224": 86_567_656,
    "swin-tiny-patch4-window7-224": 28_288_354,
}


def test_published_sizes_to_the_unit():
    found = {one.model: one for one in qkv.tables()}
    assert {name: found[name].parameters for name in COUNTS} == COUNTS
    assert "174.6" in found["gpt3-175b"].why
    assert found["gpt3-175b"].published == 175e9
    assert {one.family for one in qkv.tables(["bert"])} == {"bert"}
    with pytest.raises(ConfigError, match=r'No family "brt".*Did you mean "bert"'):
        qkv.tables(["brt"])


def test_a_diff_names_what_differs_and_nothing_else():
    found = qkv.diff("bert-base-uncased", "roberta-base")
    assert {row.what: (row.a, row.b) for row in found.parameters} == {
        "token.weight": ("30522 x 768", "50265 x 768"),
        "position.weight": ("512 x 768", "514 x 768"),
        "segment.weight": ("2 x 768", "1 x 768"),
    }
    assert not found.maps
    same = qkv.diff("gpt2", "gpt2")
    assert not (same.settings or same.parameters or same.maps)
    grouped = qkv.diff("llama-2-7b", "llama-3-8b").maps
    assert [(row.a, row.b) for row in grouped] == [("32 x 32 heads", "32 x 32 heads, 8 of keys")]
    with pytest.raises(ConfigError, match=r'No model "robert-base".*Did you mean "roberta-base"'):
        qkv.diff("gpt2", "robert-base")


@pytest.mark.parametrize("make", [bert_folder, gpt_folder])
def test_a_worked_pass_is_the_pass_of_the_net(make, tmp_path):
    make(tmp_path)
    model = qkv.load(tmp_path)
    for layer, head in ((0, 0), (1, 2)):
        found = qkv.trace(model, "the small cat", layer=layer, head=head)
        q, k, v, scores, scaled, weights, output = (
            torch.tensor(getattr(found, name)) for name in ("q", "k", "v", "scores", "scaled", "weights", "output")
        )
        torch.testing.assert_close(scores, q @ k.T)
        torch.testing.assert_close(weights, scaled.softmax(-1))
        torch.testing.assert_close(output, weights @ v)
        with qkv.look(model.net) as seen:
            model.net.encode(torch.tensor([model.tokenizer.encode("the small cat").ids]))
        torch.testing.assert_close(weights, seen.weights(layer, "self", "text")[0, head])
    with pytest.raises(ConfigError, match=r"head is 9; this model has heads 0 to 2\."):
        qkv.trace(model, "the", head=9)


def test_a_model_is_converted_there_and_back(tmp_path):
    vit_folder(tmp_path / "hf")
    qkv.convert(tmp_path / "hf", to="timm", out=tmp_path / "timm")
    qkv.convert(tmp_path / "timm", to="hf", out=tmp_path / "back")
    first, again = (load_file(tmp_path / name / "model.safetensors") for name in ("hf", "back"))
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)
    with pytest.raises(ConfigError, match="exists and is not empty"):
        qkv.convert(tmp_path / "hf", to="timm", out=tmp_path / "timm")
    with pytest.raises(UnsupportedError, match=r'vit has no public format "tim".*Did you mean "timm"'):
        qkv.convert(tmp_path / "hf", to="tim", out=tmp_path / "other")


@pytest.mark.parametrize(("says", "format"), [("down", "timm"), ("even", "hf")])
def test_a_cut_that_the_other_format_cannot_say_is_refused_with_a_cure(says, format, tmp_path):
    vit_folder(tmp_path / "hf")
    model: Any = qkv.load(tmp_path / "hf")
    model.preprocessing = dataclasses.replace(model.preprocessing, size=(35, 35), crop=(32, 32), crop_rounding=says)
    qkv.convert(model, to="qkv", out=tmp_path / "own")
    with pytest.raises(UnsupportedError, match="Convert to qkv, which says either, or in Python") as found:
        qkv.convert(tmp_path / "own", to=format, out=tmp_path / "refused")
    cure = str(found.value).split("in Python: ")[1].removesuffix(".").replace("...", "out").split(", then ")
    out, model = tmp_path / "cured", qkv.load(tmp_path / "own")
    for line in cure:
        exec(line)  # what the sentence says, to the letter
    again: Any = qkv.load(out)
    assert again.preprocessing == model.preprocessing
    assert again.preprocessing.crop_rounding != says


def test_a_file_of_another_family_is_named(tmp_path):
    """GPT-2's tensors beside BERT's configuration."""
    bert_folder(tmp_path / "bert")
    gpt_folder(tmp_path / "gpt")
    save_file(load_file(tmp_path / "gpt/model.safetensors"), tmp_path / "bert/model.safetensors")
    with pytest.raises(WeightsError, match="holds no bert weights: 0 of"):
        qkv.load(tmp_path / "bert")
