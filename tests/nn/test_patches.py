import pytest
import torch

from qkv.base.errors import ShapeError
from qkv.nn.patches import Patches


def test_each_patch_is_one_product_of_its_pixels():
    patches, pictures = Patches(3, 5, 4).double(), torch.randn(2, 3, 8, 12).double()
    found = patches(pictures)
    assert found.shape == (2, 2, 3, 5)
    for row in range(2):
        for column in range(3):
            pixels = pictures[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1)
            wanted = torch.nn.functional.linear(pixels, patches.weight.flatten(1), patches.bias)
            torch.testing.assert_close(found[:, row, column], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("wanted", "given", "message"),
    [
        (3, 1, "Image has 1 channel, the model wants 3 (RGB)."),
        (3, 4, "Image has 4 channels, the model wants 3 (RGB)."),
        (1, 3, "Image has 3 channels, the model wants 1 (grey)."),
        (2, 3, "Image has 3 channels, the model wants 2."),
    ],
)
def test_other_channels_are_refused(wanted, given, message):
    with pytest.raises(ShapeError) as caught:
        Patches(wanted, 5, 4)(torch.zeros(1, given, 8, 8))
    assert str(caught.value) == message


@pytest.mark.parametrize("size", [(8, 10), (7, 8), (0, 8)])
def test_sizes_that_patches_do_not_fill_are_refused(size):
    with pytest.raises(ShapeError, match=f"Image has {size[0]} x {size[1]} pixels, .* multiples of 4"):
        Patches(1, 5, 4)(torch.zeros(1, 1, *size))
