"""Pictures that come as arrays: taken as what they are, or refused; nothing is guessed from their shape or values."""

import numpy as np
from torch import Tensor

from qkv.base.errors import DataError
from qkv.image.decode import check_pixels


def read_array(array: np.ndarray | Tensor, *, n_channels: int = 3) -> np.ndarray:
    """Return a picture as (y, x, c), in bytes or in 32-bit floats from 0 to 1.

    Arrays of numpy are (y, x, c), or (y, x) where one channel is wanted; tensors of torch are (c, y, x). Both hold
    bytes, or floats from 0 to 1. Colours are in the order red, green, blue; OpenCV's are not, and no one can tell
    from the numbers: `picture[..., ::-1]` turns them. Anything else raises DataError.
    """
    pixels = _channels_last(array, n_channels)
    check_pixels("The picture", *pixels.shape[:2])
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise DataError(f"The picture's numbers are {pixels.dtype}: give bytes (uint8), or floats from 0 to 1.")
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 1):  # NaN, too, is neither
        raise DataError(
            f"The picture's floats run from {low:.4g} to {high:.4g}, wanted 0 to 1: divide by the largest possible "
            "value, and do not normalise; the model's own mean and std come after."
        )
    return np.ascontiguousarray(pixels, dtype=np.float32)


def _channels_last(array: np.ndarray | Tensor, n_channels: int) -> np.ndarray:
    """Return the pixels as (y, x, c), or refuse a shape that is something else."""
    tensor = isinstance(array, Tensor)
    order = "(channels, rows, columns)" if tensor else "(rows, columns, channels)"
    if tensor:
        array = array.detach().cpu()
        array = (array.float() if array.is_floating_point() else array).numpy()  # numpy has no bf16
    pixels = array
    shape = tuple(pixels.shape)
    if pixels.ndim == 2 and n_channels == 1:
        pixels = pixels[:, :, None]
    elif pixels.ndim == 3:
        other = shape[-1] if tensor else shape[0]
        pixels = np.moveaxis(pixels, 0, 2) if tensor else pixels
        if pixels.shape[2] not in (1, 3, 4) and other in (1, 3, 4):
            kind = "a tensor" if tensor else "an array of numpy"
            mend = "picture.permute(2, 0, 1)" if tensor else "picture.transpose(1, 2, 0)"
            raise DataError(f"The picture has shape {shape}, but {kind} is {order}: give {mend}.")
    if pixels.ndim != 3 or 0 in shape:
        raise DataError(f"The picture has shape {shape}, wanted {order}, of one picture.")
    if pixels.shape[2] != n_channels:
        n, kind = pixels.shape[2], "RGB" if n_channels == 3 else "grey"
        raise DataError(f"Image has {n} channel{'s' * (n > 1)}, the model wants {n_channels} ({kind}).")
    return pixels
