"""`pretrained_cfg` of timm: read strictly, written back; pictures come out as timm.data.create_transform makes them.

timm needs torchvision, so its results are kept in timm_pictures.json; timm_pictures.py made it and says how.
"""

import dataclasses
import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from image.timm_pictures import CASES, FACTS, PICTURES, spots
from qkv.base.errors import ConfigError, QkvError, UnsupportedError
from qkv.image.hf_files import read_hf, write_hf
from qkv.image.preprocessing import Preprocessing, prepare
from qkv.image.timm_files import read_timm, write_timm

KEPT = json.loads((Path(__file__).parent / FACTS).read_text())
# timm/vit_base_patch16_224.augreg2_in21k_ft_in1k, as its config.json has it
VIT = {
    "tag": "augreg2_in21k_ft_in1k",
    "custom_load": False,
    "input_size": [3, 224, 224],
    "fixed_input_size": True,
    "interpolation": "bicubic",
    "crop_pct": 0.9,
    "crop_mode": "center",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "num_classes": 1000,
    "pool_size": None,
    "first_conv": "patch_embed.proj",
    "classifier": "head",
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_come_out_as_from_timm(name):
    assert KEPT["timm"] == "1.0.31" and set(KEPT["pictures"]) == set(PICTURES)
    for case, (config, theirs) in enumerate(zip(CASES, KEPT["pictures"][name], strict=True)):
        cfg = dataclasses.replace(read_timm(config), mean=(0.0,) * 3, std=(1.0,) * 3)
        ours = prepare(PICTURES[name], cfg)
        assert ours.shape == tuple(config["input_size"])
        assert np.abs(spots(ours) - np.array(theirs)).max() <= 1, (name, case)


def test_normalised_as_timm_does():
    cfg = read_timm(VIT | {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]})
    assert (cfg.mean, cfg.std, cfg.rescale) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 1 / 255)
    white = prepare(np.full((9, 9, 3), 255, np.uint8), cfg)
    assert torch.allclose(white[:, 0, 0], torch.tensor([2.25, 1.6, 0.7 / 0.6]))


def test_a_published_file_is_understood():
    assert read_timm(VIT) == Preprocessing(size=(248, 248), how="short side", crop=(224, 224), crop_rounding="even")
    written = write_timm(read_timm(VIT))
    assert written == {key: VIT[key] for key in written}
    assert read_timm({}) == read_timm({"crop_pct": 0.875, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]})


@pytest.mark.parametrize("mode", ["center", "squash"])
@pytest.mark.parametrize("share", [0.875, 0.9, 0.95, 0.96, 0.965, 0.985, 1.0, 0.8, 2 / 3])
@pytest.mark.parametrize("sides", [(224, 224), (384, 384), (518, 518), (240, 240), (224, 160), (96, 200)])
def test_what_is_written_does_the_same(mode, share, sides):
    cfg = read_timm({"input_size": [3, *sides], "crop_pct": share, "crop_mode": mode})
    written = write_timm(cfg)
    assert read_timm(written) == cfg and len(str(written["crop_pct"])) <= 7


def test_one_channel():
    cfg = read_timm({"input_size": [1, 28, 28], "mean": [0.13], "std": [0.3], "crop_pct": 1.0})
    assert cfg.n_channels == 1 and read_timm(write_timm(cfg)) == cfg
    assert read_timm({"mean": [0.5], "std": [0.25]}).mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_mode": "border"}, "\"crop_mode\" is 'border', not one of center, squash"),
        ({"crop_border_pixels": 3}, 'unknown key "crop_border_pixels"'),
        ({"interpolation": "random"}, "\"interpolation\" is 'random'"),
        ({"crop_pct": 0}, '"crop_pct" is 0, wanted'),
        ({"crop_pct": math.nan}, '"crop_pct" is nan'),
        ({"input_size": [3, 224]}, r'"input_size" is \[3, 224\]'),
        ({"input_size": [10**9, 224, 224]}, '"input_size" is'),
        ({"input_size": [1, 224, 224]}, "are not of 1 channels"),
        ({"mean": 0.5}, '"mean" is 0.5, wanted a list'),
        ({"mean": ["a", "b", "c"]}, '"mean" is'),
        ({"std": [0, 1, 1]}, "from 1e-6 to 1e6"),
    ],
)
def test_what_is_not_understood_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        read_timm(VIT | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rescale": 1.0}, "divides bytes by 255"),
        ({"crop": None}, "cuts every picture to one size"),
        ({"crop_rounding": "down"}, 'crop_rounding="even"'),
        ({"crop": (224, 100)}, "one crop_pct for both sides"),
    ],
)
def test_what_timm_cannot_say_is_refused(changes, message):
    with pytest.raises(UnsupportedError, match=message):
        write_timm(dataclasses.replace(read_timm(VIT), **changes))


def test_from_one_library_to_the_other():
    dinov2 = Preprocessing(size=(256, 256), how="short side", crop=(224, 224))
    there = write_timm(dataclasses.replace(read_hf(write_hf(dinov2)), crop_rounding="even"))
    assert there["crop_pct"] == 0.875
    assert dataclasses.replace(read_timm(there), crop_rounding="down") == dinov2


def test_mutated_files_are_read_or_refused():
    rng = random.Random(0)
    values = [
        None,
        True,
        -1,
        0,
        10**30,
        1e308,
        1e-300,
        "",
        "x",
        [],
        [1],
        [[]],
        {},
        [3, 0, 9],
        [3, 10**30, 1],
        [0.5] * 9,
    ]
    refused = 0
    for _ in range(2000):
        config = dict(VIT)
        for _ in range(rng.randint(1, 3)):
            config[rng.choice([*config, "other"])] = rng.choice(values)
        try:
            assert isinstance(read_timm(config), Preprocessing)
        except QkvError:
            refused += 1
    assert 500 < refused < 2000
