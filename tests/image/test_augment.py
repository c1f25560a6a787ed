"""Augmentations change a picture as they say, draw from their generator alone, and one setting leaves the others be."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from image.made import sized
from qkv.base import seeds
from qkv.base.errors import ConfigError
from qkv.image.augment import Augmentation

PICTURE = torch.from_numpy(np.asarray(sized(12, 8)).copy()).permute(2, 0, 1) / 255


def draws(how: Augmentation, n: int = 300, picture: torch.Tensor = PICTURE) -> list[torch.Tensor]:
    return [how(picture, seeds.generator("augment", 0, 0, i)) for i in range(n)]


def near(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5)


def test_nothing_asked_for_changes_nothing():
    assert all(near(one, PICTURE) for one in draws(Augmentation(), 3))


def test_the_same_generator_gives_the_same_picture():
    how = Augmentation(shift=2, degrees=20.0, scale=0.2, shear=0.1, flip=True)
    assert all(torch.equal(a, b) for a, b in zip(draws(how, 5), draws(how, 5), strict=True))
    assert not torch.equal(*draws(how, 2))
    assert torch.equal(PICTURE, torch.from_numpy(np.asarray(sized(12, 8)).copy()).permute(2, 0, 1) / 255)


def test_shifts_are_crops_of_the_picture_with_a_border():
    padded = torch.nn.functional.pad(PICTURE, (2, 2, 2, 2))
    crops = {(y, x): padded[:, y : y + 8, x : x + 12] for y in range(5) for x in range(5)}
    seen = Counter(next(at for at, crop in crops.items() if near(crop, one)) for one in draws(Augmentation(shift=2)))
    assert len(seen) == 25 and max(seen.values()) < 30


def test_flips_come_half_of_the_time():
    flipped = [near(one, PICTURE.flip(2)) for one in draws(Augmentation(flip=True))]
    assert 120 < sum(flipped) < 180
    assert all(
        near(one, PICTURE) for one, turned in zip(draws(Augmentation(flip=True)), flipped, strict=True) if not turned
    )


def test_turns_are_turns_on_pictures_that_are_no_squares():
    picture = torch.zeros(1, 21, 41)
    picture[0, 10, 10:31] = 1  # a bar of 21 pixels through the middle
    how = Augmentation(degrees=90.0)
    for i, turned in enumerate(draws(how, 20, picture)):
        angle = 90 * (2 * torch.rand(6, generator=seeds.generator("augment", 0, 0, i))[0].item() - 1)
        theirs = Image.fromarray(picture[0].numpy()).rotate(angle, Image.Resampling.BILINEAR)
        assert np.abs(turned[0].numpy() - np.asarray(theirs)).max() < 1e-4


def test_scale_and_shear_move_the_edges():
    picture = torch.zeros(1, 40, 40)
    picture[0, 10:30, 10:30] = 1
    areas = [one.sum().item() / 400 for one in draws(Augmentation(scale=0.2), 200, picture)]
    assert 0.63 < min(areas) < 0.68 and 1.38 < max(areas) < 1.46
    for one in draws(Augmentation(shear=0.5), 20, picture):
        assert one.sum().item() == pytest.approx(400, abs=2)
        assert near(one[0].sum(1)[11:29], torch.full((18,), 20.0))


def test_a_setting_does_not_change_what_another_draws():
    shifted = draws(Augmentation(shift=2), 20)
    also_flipped = draws(Augmentation(shift=2, flip=True), 20)
    same = [near(a, b) for a, b in zip(shifted, also_flipped, strict=True)]
    assert 3 < sum(same) < 17


def test_fill_comes_in_from_outside():
    white = torch.ones(1, 6, 6)
    assert all(near(one, white) for one in draws(Augmentation(shift=3, degrees=45.0, fill=1.0), 20, white))
    assert any(one.min() == 0 for one in draws(Augmentation(shift=3), 20, white))


@pytest.mark.parametrize("change", [{"shift": -1}, {"degrees": 200.0}, {"scale": 1.0}, {"shear": -0.1}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ConfigError, match="shift must be at least 0"):
        Augmentation(**change)
