"""Arrays are taken as what they say they are, or refused: no guess turns a picture on its side or its colours round."""

import numpy as np
import pytest
import torch

from qkv.base.errors import DataError
from qkv.image.arrays import read_array

BYTES = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def test_bytes_stay_bytes():
    assert np.array_equal(read_array(BYTES), BYTES)
    assert np.array_equal(read_array(torch.from_numpy(BYTES).permute(2, 0, 1)), BYTES)
    assert np.array_equal(read_array(BYTES[..., ::-1]), BYTES[..., ::-1])  # BGR turned round is a view
    for grey in (
        BYTES[:, :, 0],
        BYTES[:, :, :1],
        torch.from_numpy(BYTES[None, :, :, 0]),
        torch.from_numpy(BYTES[:, :, 0]),
    ):
        assert np.array_equal(read_array(grey, n_channels=1), BYTES[:, :, :1])


def test_floats_stay_floats():
    floats = BYTES / 255
    for dtype in (np.float16, np.float32, np.float64):
        ours = read_array(floats.astype(dtype))
        assert ours.dtype == np.float32 and np.allclose(ours, floats, atol=1e-3)
    ours = read_array(torch.from_numpy(floats).permute(2, 0, 1).bfloat16().requires_grad_())
    assert ours.dtype == np.float32 and np.allclose(ours, floats, atol=1e-2)
    edge = torch.tensor([[[0.0, 1.0]]])
    assert read_array(edge, n_channels=1).tolist() == [[[0.0], [1.0]]]


@pytest.mark.parametrize(
    ("array", "n_channels", "message"),
    [
        (BYTES.transpose(2, 0, 1), 3, r"shape \(3, 5, 7\), but an array of numpy is .*picture.transpose\(1, 2, 0\)"),
        (torch.from_numpy(BYTES), 3, r"shape \(5, 7, 3\), but a tensor is .*picture.permute\(2, 0, 1\)"),
        (BYTES[:, :, :1], 3, r"Image has 1 channel, the model wants 3 \(RGB\)"),
        (BYTES, 1, r"Image has 3 channels, the model wants 1 \(grey\)"),
        (np.zeros((5, 7, 4), np.uint8), 3, "Image has 4 channels, the model wants 3"),
        (np.zeros((5, 7, 9), np.uint8), 3, "Image has 9 channels, the model wants 3"),
        (BYTES[:, :, 0], 3, r"shape \(5, 7\), wanted \(rows, columns, channels\)"),
        (BYTES[None], 3, r"shape \(1, 5, 7, 3\), wanted .*, of one picture"),
        (np.zeros((0, 7, 3), np.uint8), 3, "of one picture"),
        (np.array(3, np.uint8), 1, "of one picture"),
        (BYTES.astype(np.int64), 3, "numbers are int64: give bytes"),
        (BYTES > 9, 3, "numbers are bool"),
        (BYTES.astype(object), 3, "numbers are object"),
        (BYTES.astype(np.float32), 3, "floats run from 0 to 104, wanted 0 to 1"),
        (BYTES / 255 - 0.1, 3, "floats run from -0.1 to 0.3"),
        (np.full((2, 2, 3), np.nan), 3, "floats run from nan to nan"),
        (np.broadcast_to(np.uint8(0), (5000, 5000, 3)), 3, "5,000 x 5,000 pixels, more than 24 million"),
    ],
)
def test_what_is_something_else_is_refused(array, n_channels, message):
    with pytest.raises(DataError, match=message):
        read_array(array, n_channels=n_channels)
