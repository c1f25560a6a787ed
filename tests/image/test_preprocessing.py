"""What a net reads of a picture equals what transformers' processors make of it, to a fraction of one grey level."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from image.made import encode, noise, photographs, sized
from qkv.base.errors import ConfigError, DataError
from qkv.image.hf_files import read_hf
from qkv.image.preprocessing import Preprocessing, crop_box, prepare, prepare_all, scaled_size

SIZES = ((100, 37), (64, 301), (255, 256), (257, 511), (31, 31), (1000, 99), (224, 224), (640, 480), (5, 1))
PICTURES = [*photographs(), *(sized(*size) for size in SIZES), noise(143, 97)]
PROCESSORS = {
    "ViT": ViTImageProcessorPil(),
    "Swin": ViTImageProcessorPil(resample=3, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]),
    "ViT 384 x 96": ViTImageProcessorPil(size={"height": 384, "width": 96}, resample=1),
    "DeiT": DeiTImageProcessorPil(),
    "DeiT, odd cut": DeiTImageProcessorPil(size=227, crop_size={"height": 224, "width": 200}),
    "DINOv2": BitImageProcessorPil(size={"shortest_edge": 256}),
    "DINOv2, whole": BitImageProcessorPil(size={"shortest_edge": 98}, do_center_crop=False),
    "Bit, not normalised": BitImageProcessorPil(do_normalize=False),
    "Bit, bytes": BitImageProcessorPil(do_rescale=False, do_normalize=False),
}
TINY = Preprocessing(size=(4, 6), mean=(0.25,), std=(0.5,))


@pytest.mark.parametrize("name", PROCESSORS)
def test_pictures_come_out_as_from_transformers(name):
    reference = PROCESSORS[name]
    cfg = read_hf(reference.to_dict())
    scale = torch.tensor(cfg.std)[:, None, None] / (255 * cfg.rescale)
    for picture in PICTURES:
        theirs = reference(picture, return_tensors="pt")["pixel_values"][0]
        ours = prepare(picture, cfg)
        assert ours.dtype == torch.float32 and ours.is_contiguous() and ours.shape == theirs.shape
        assert ((ours - theirs).abs() * scale).max() < 1e-3 / 255, picture.size


def test_a_wrong_filter_or_cut_is_seen():
    reference = PROCESSORS["DINOv2"]
    right = read_hf(reference.to_dict())
    theirs = reference(sized(257, 511), return_tensors="pt")["pixel_values"][0]
    for change in ({"interpolation": "bilinear"}, {"how": "stretch"}, {"crop": (223, 224)}, {"size": (255, 255)}):
        ours = prepare(sized(257, 511), dataclasses.replace(right, **change))
        assert ours.shape != theirs.shape or (ours - theirs).abs().max() > 4 / 255


def test_files_bytes_arrays_and_tensors_give_the_same(tmp_path):
    picture = photographs()[1]
    (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))
    cfg = Preprocessing(size=(64, 48), how="stretch", mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    expected = prepare(picture, cfg)
    pixels = np.asarray(picture)
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    for same in (tmp_path / "a.png", str(tmp_path / "a.png"), encode(picture, "PNG"), pixels, tensor):
        assert torch.equal(prepare(same, cfg), expected)
    for floats in (tensor / 255, tensor.double() / 255, (pixels / 255).astype(np.float32)):
        assert torch.equal(prepare(floats, cfg), expected)


def test_floats_of_the_right_size_are_not_rounded_to_bytes():
    picture = torch.rand(1, 4, 6)
    assert torch.allclose(prepare(picture, TINY), (picture - 0.25) / 0.5, atol=1e-6)


def test_grey_stays_one_channel_where_the_model_wants_one():
    grey = noise(6, 4, bands=1)
    expected = torch.from_numpy(np.asarray(grey) / 255).float()
    assert torch.allclose(prepare(encode(grey, "PNG"), TINY), (expected[None] - 0.25) / 0.5)
    three = prepare(encode(grey, "PNG"), Preprocessing(size=(4, 6)))
    assert three.shape == (3, 4, 6) and torch.equal(three[0], three[1]) and torch.equal(three[0], three[2])
    red = Image.new("RGB", (6, 4), (255, 0, 0))
    assert torch.allclose(prepare(red, TINY) * 0.5 + 0.25, torch.tensor(76 / 255))


def test_the_short_side_fits_and_the_long_side_is_rounded_down():
    cfg = Preprocessing(size=(256, 256), how="short side", crop=(224, 224))
    assert scaled_size(427, 640, cfg) == (256, 383) and scaled_size(640, 427, cfg) == (383, 256)
    assert crop_box((256, 383), cfg) == (79, 16, 303, 240)
    even = dataclasses.replace(cfg, crop_rounding="even")
    assert crop_box((256, 383), even) == (80, 16, 304, 240)
    assert cfg.out == (224, 224) and dataclasses.replace(cfg, crop=None).out is None


def test_batches_hold_pictures_of_one_size():
    cfg = Preprocessing(size=(8, 8), how="short side")
    assert prepare_all([noise(9, 9), noise(20, 20)], cfg).shape == (2, 3, 8, 8)
    with pytest.raises(ConfigError, match="come out in 2 sizes"):
        prepare_all([noise(9, 9), noise(20, 9)], cfg)
    with pytest.raises(DataError, match="no pictures"):
        prepare_all([], cfg)


def test_a_strip_is_refused_before_it_grows():
    with pytest.raises(DataError, match=r"scaled.* has 2,048,000 x 256 pixels, more than 24 million"):
        prepare(Image.new("L", (8000, 1)), Preprocessing(size=(256, 256), how="short side"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0, 8)}, "from 1 to 4,096"),
        ({"size": (9000, 8)}, "from 1 to 4,096"),
        ({"crop": (5, 6)}, r"crop \(5, 6\) does not fit into size \(4, 6\)"),
        ({"mean": (0.5, 0.5)}, "both have 1 number, or 3"),
        ({"mean": (0.5,) * 3}, "both have 1 number, or 3"),
        ({"std": (0.0,)}, r"std \(0.0,\) must be from 1e-6 to 1e6"),
        ({"mean": (float("nan"),)}, "must be from -1e6 to 1e6"),
        ({"mean": (1e308,)}, "must be from -1e6 to 1e6"),
        ({"rescale": float("inf")}, "rescale inf and std"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TINY, **change)
