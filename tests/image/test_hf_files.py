"""preprocessor_config.json: of every age, read strictly, and written as transformers writes it."""

import dataclasses
import json
import random
from typing import Any

import pytest
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from qkv.base.config import from_dict, to_dict
from qkv.base.errors import ConfigError, QkvError, UnsupportedError
from qkv.image.hf_files import read_hf, write_hf
from qkv.image.preprocessing import Preprocessing

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
EVEN: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# As they lie in well-known folders of the hub.
DINOV2 = {
    "crop_size": {"height": 224, "width": 224},
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_processor_type": "BitImageProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 256},
} | IMAGENET
PUBLISHED = {
    "google/vit-base-patch16-224": (
        {
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_processor_type": "ViTFeatureExtractor",
            "image_std": [0.5, 0.5, 0.5],
            "resample": 2,
            "rescale_factor": 0.00392156862745098,
            "size": {"height": 224, "width": 224},
        },
        Preprocessing(size=(224, 224), interpolation="bilinear"),
    ),
    "facebook/deit-base-distilled-patch16-224": (
        {
            "crop_size": 224,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "DeiTFeatureExtractor",
            "resample": 3,
            "size": 256,
        }
        | IMAGENET,
        Preprocessing(size=(256, 256), crop=(224, 224), **EVEN),
    ),
    "microsoft/swin-tiny-patch4-window7-224": (
        {
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "ViTFeatureExtractor",
            "resample": 3,
            "size": 224,
        }
        | IMAGENET,
        Preprocessing(size=(224, 224), **EVEN),
    ),
    "facebook/dinov2-base": (
        DINOV2,
        Preprocessing(size=(256, 256), how="short side", crop=(224, 224), **EVEN),
    ),
    "a fast one of 4.5x": (
        DINOV2
        | {"image_processor_type": "BitImageProcessorFast", "data_format": "channels_first", "default_to_square": False}
        | dict.fromkeys(("device", "disable_grouping", "do_pad", "input_data_format", "pad_size", "return_tensors")),
        Preprocessing(size=(256, 256), how="short side", crop=(224, 224), **EVEN),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_understood(name):
    config, expected = PUBLISHED[name]
    assert read_hf(config) == expected
    assert read_hf(write_hf(expected)) == expected


@pytest.mark.parametrize("reference", [ViTImageProcessorPil, DeiTImageProcessorPil, BitImageProcessorPil])
@pytest.mark.parametrize("changes", [{}, {"resample": 1, "image_mean": [0.1, 0.2, 0.3]}, {"rescale_factor": 1 / 127.5}])
def test_files_of_transformers_come_back_as_they_were(reference, changes, tmp_path):
    reference(**changes).save_pretrained(tmp_path)
    theirs = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert write_hf(read_hf(theirs)) == theirs
    silent = read_hf({"image_processor_type": theirs["image_processor_type"]})
    assert changes or silent == read_hf(theirs)


def test_it_travels_in_our_own_format():
    for _, cfg in PUBLISHED.values():
        assert from_dict(Preprocessing, json.loads(json.dumps(to_dict(cfg))), "config.json") == cfg


def test_numbers_for_all_channels_and_one_channel():
    assert read_hf({"image_mean": 0.1, "image_std": 0.2}).mean == (0.1, 0.1, 0.1)
    grey = read_hf({"image_mean": [0.1], "image_std": [0.2]})
    assert (grey.n_channels, grey.mean, grey.std) == (1, (0.1,), (0.2,))
    assert read_hf({"image_mean": [0.1], "do_normalize": False}).mean == (0.0,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_processor_type": "BitImageProcesor"}, '"BitImageProcesor" is no .*Did you mean "BitImageProcessor"'),
        ({"image_processor_type": ["x"]}, "is no image processor"),
        ({"rescale_offset": True, "sise": 3}, r'unknown key "rescale_offset".*unknown key "sise" Did you mean "size"'),
        ({"do_resize": False}, '"do_resize" is False, but True is all'),
        ({"do_pad": True}, '"do_pad" is True'),
        ({"do_normalize": "yes"}, "\"do_normalize\" is 'yes', wanted true or false"),
        ({"size": {"shortest_edge": 224, "longest_edge": 300}}, '"size" is .*longest_edge'),
        ({"size": {"height": 224}}, '"size" is'),
        ({"size": {"height": 224, "width": 1e9}}, '"size" is'),
        ({"size": {"height": 224, "width": 10**9}}, "from 1 to 4,096 pixels"),
        ({"size": "224"}, '"size" is'),
        ({"crop_size": None, "image_processor_type": "ViTImageProcessor"}, '"crop" is'),
        ({"crop_size": {"height": 300, "width": 224}}, "does not fit"),
        ({"resample": 9}, '"interpolation" is 9'),
        ({"resample": [3]}, r'"interpolation" is \[3\]'),
        ({"image_mean": "half"}, '"mean" is'),
        ({"image_mean": [0.5, None, 0.5]}, '"mean" is'),
        ({"image_std": [0.5, 0.5]}, "both have 1 number, or 3"),
        ({"rescale_factor": 0}, "from 1e-6 to 1e6"),
    ],
)
def test_what_is_not_understood_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        read_hf(DINOV2 | changes)


def test_what_transformers_cannot_say_is_refused():
    cover = read_hf(DINOV2)
    with pytest.raises(UnsupportedError, match="only squares"):
        write_hf(dataclasses.replace(cover, size=(256, 224)))
    with pytest.raises(UnsupportedError, match='crop_rounding="down"'):
        write_hf(dataclasses.replace(cover, crop_rounding="even"))
    even = read_hf(PUBLISHED["facebook/deit-base-distilled-patch16-224"][0])
    write_hf(dataclasses.replace(even, crop_rounding="even"))  # 32 pixels to cut away are even
    with pytest.raises(UnsupportedError, match='crop_rounding="down"'):
        write_hf(dataclasses.replace(even, size=(227, 224), crop_rounding="even"))


def test_mutated_files_are_read_or_refused():
    rng = random.Random(0)
    values = [None, True, -1, 0, 10**30, 1e308, float("nan"), "", "x", [], [1], [[]], {}, {"height": "x"}, [0.5] * 9]
    refused = 0
    for _ in range(2000):
        config = json.loads(json.dumps(rng.choice(list(PUBLISHED.values()))[0]))
        for _ in range(rng.randint(1, 3)):
            config[rng.choice([*config, "other"])] = rng.choice(values)
        try:
            assert isinstance(read_hf(config), Preprocessing)
        except QkvError:
            refused += 1
    assert 1000 < refused < 2000
