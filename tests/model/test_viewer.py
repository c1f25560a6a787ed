"""A folder that transformers wrote, loaded, asked and written back: nets of pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTImageProcessor

import qkv
from model.public_folders import vit_folder
from qkv.base.errors import ConfigError, DataError, UnsupportedError


@pytest.fixture
def picture(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((112, 80), Image.Resampling.BICUBIC).save(tmp_path / "a picture.png")
    return tmp_path / "a picture.png"


def test_labels_are_the_reference_s(tmp_path, picture):
    reference = vit_folder(tmp_path / "hf")
    processor = ViTImageProcessor.from_pretrained(tmp_path / "hf")
    pixels = processor(Image.open(picture), return_tensors="pt")["pixel_values"]
    wanted = reference(pixels).logits.softmax(-1)[0].tolist()
    (found,) = qkv.load(tmp_path / "hf").predict([picture])
    assert {one.label: one.probability for one in found} == pytest.approx(
        dict(zip(("cat", "dog", "fish"), wanted, strict=True)), abs=5e-3
    )


@pytest.mark.parametrize("format", ["qkv", "hf", "timm"])
def test_every_format_brings_the_preprocessing_along(format, tmp_path, picture):
    vit_folder(tmp_path / "hf")
    model = qkv.load(tmp_path / "hf")
    model.save(tmp_path / format / "again", format=format)
    again = qkv.load(tmp_path / format / "again")
    assert (again.preprocessing.size, again.preprocessing.mean) == (model.preprocessing.size, model.preprocessing.mean)
    torch.testing.assert_close(again.embed([picture]), model.embed([picture]), rtol=0, atol=1e-6)


def test_what_it_cannot_do_is_said(tmp_path, picture):
    vit_folder(tmp_path / "hf")
    model = qkv.load(tmp_path / "hf")
    with pytest.raises(UnsupportedError, match="A vit model cannot fill; it can embed, predict"):
        model.fill("a")
    with pytest.raises(ConfigError, match="put this one into a list"):
        model.predict(str(picture))
    with pytest.raises(DataError):
        model.predict([tmp_path / "hf/config.json"])
    (tmp_path / "hf/preprocessor_config.json").unlink()
    with pytest.raises(ConfigError, match="says how its pictures are scaled"):
        qkv.load(tmp_path / "hf")
