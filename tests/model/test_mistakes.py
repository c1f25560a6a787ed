"""Wrong ids, wrong arrays, the wrong mode: what loaded models refuse in Python."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import qkv
from model.public_folders import MODELS, bert_folder, gpt_folder, vit_folder
from qkv.base.errors import ConfigError, DataError, ShapeError, UnsupportedError

MAKE = {
    "bert": bert_folder,
    "texts": lambda folder: bert_folder(folder, "ForSequenceClassification"),
    "gpt": gpt_folder,
    "llama": MODELS["llama"],
    "vit": vit_folder,
}


def test_ids_of_another_vocabulary_are_named(made):
    match = r"Token id 50300 at \[0, 3\] is outside the vocabulary \({}\)\. Is this tokenizer for another model\?"
    for name in ("bert", "texts", "gpt", "llama"):
        net = qkv.load(made[name]).net
        ids = torch.tensor([[1, 2, 3, 50300, 2, 1]])
        with pytest.raises(ShapeError, match=match.format(net.cfg.vocab_size)):
            net(ids)
        with pytest.raises(ShapeError, match=r"Token id -1 at \[0, 0\]"):
            net(torch.tensor([[-1]]))
    net = qkv.load(made["bert"]).net
    with pytest.raises(ShapeError, match="Input has 33 tokens; this model has 32 positions"):
        net(torch.ones(1, 33, dtype=torch.long))


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((40, 36, 1), np.uint8), r"Image has 1 channel, the model wants 3 \(RGB\)\."),
        (np.zeros((40, 36, 4), np.uint8), r"Image has 4 channels, the model wants 3 \(RGB\)\."),
        (torch.zeros(1, 40, 36), r"Image has 1 channel, the model wants 3 \(RGB\)\."),
        (torch.zeros(40, 36, 3), r"a tensor is \(channels, rows, columns\): give picture\.permute\(2, 0, 1\)"),
        (np.zeros((3, 40, 36), np.uint8), r"an array of numpy is \(rows, columns, channels\): give picture\.transpose"),
        (np.zeros((40, 36), np.uint8), r"has shape \(40, 36\), wanted \(rows, columns, channels\)"),
        (np.full((40, 36, 3), 255.0), "floats run from 255 to 255, wanted 0 to 1: divide"),
        (np.full((40, 36, 3), np.nan), "floats run from nan to nan"),
        (np.zeros((40, 36, 3), np.int64), r"numbers are int64: give bytes \(uint8\), or floats from 0 to 1"),
        (np.broadcast_to(np.uint8(0), (6000, 4001, 3)), "has 4,001 x 6,000 pixels, more than 24 million"),
        (b"no picture", "is no picture that is read here"),
    ],
    ids=str,
)
def test_arrays_that_are_no_pictures_as_the_model_reads_them(picture, message, made):
    model: Any = qkv.load(made["vit"])
    for ask in (model.predict, model.embed):
        with pytest.raises(DataError, match=message):
            ask([picture])


def test_a_net_says_how_many_channels_it_wants(made):
    net = qkv.load(made["vit"]).net
    with pytest.raises(ShapeError, match=r"Image has 1 channel, the model wants 3 \(RGB\)\."):
        net(torch.zeros(2, 1, 32, 32))
    with pytest.raises(ShapeError, match="cuts it into patches of 8 x 8"):
        net(torch.zeros(2, 3, 33, 32))


def test_in_training_mode_nothing_is_answered(made, tmp_path):
    Image.new("RGB", (40, 36)).save(tmp_path / "p.png")
    asks: dict[str, list[Callable[[Any], Any]]] = {
        "bert": [lambda m: m.fill("a [MASK]"), lambda m: m.embed(["a"])],
        "texts": [lambda m: m.predict(["a"])],
        "gpt": [lambda m: m.generate(["a"]), lambda m: m.embed(["a"])],
        "vit": [lambda m: m.predict([tmp_path / "p.png"]), lambda m: m.embed([tmp_path / "p.png"])],
    }
    for name, acts in asks.items():
        model = qkv.load(made[name])
        for act in acts:
            act(model)
        model.net.train()
        for act in acts:
            with pytest.raises(UnsupportedError, match=r"The net is in training mode, .* call net\.eval\(\) first"):
                act(model)


def test_mean_and_std_are_the_checkpoint_s(tmp_path):
    """Nothing lets a picture in that was normalised by others: they travel with the model, in every format."""
    vit_folder(tmp_path / "made")
    path = tmp_path / "made" / "preprocessor_config.json"
    told = json.loads(path.read_text()) | {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    path.write_text(json.dumps(told))
    picture = np.random.default_rng(0).random((32, 32, 3))
    model: Any = qkv.load(tmp_path / "made")
    wanted = model.net.summary(
        model.net.encode(torch.tensor((picture - [0.1, 0.2, 0.3]) / [0.4, 0.5, 0.6]).movedim(2, 0)[None].float())
    )
    for format in ("qkv", "hf", "timm"):
        model.save(tmp_path / format, format=format)
        torch.testing.assert_close(qkv.load(tmp_path / format).embed([picture]), wanted, rtol=0, atol=1e-5)
    path.write_text(json.dumps(told | {"image_mean": [0.1, 0.2], "image_std": [0.4, 0.5]}))
    with pytest.raises(ConfigError, match=r"mean .* and std .* must both have 1 number, or 3"):
        qkv.load(tmp_path / "made")


@pytest.mark.parametrize("names", [["a", "b"], "abc", [1, 2, 3], {}])
def test_names_of_labels_that_do_not_fit_are_refused(names, tmp_path):
    vit_folder(tmp_path / "hf")
    qkv.load(tmp_path / "hf").save(tmp_path / "timm", format="timm")
    path = tmp_path / "timm/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"label_names": names}))
    with pytest.raises(ConfigError, match=r'"label_names" is .*, wanted a name for each of 3 labels'):
        qkv.load(tmp_path / "timm")
