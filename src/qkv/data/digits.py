"""1,797 handwritten digits of 43 people, 8 x 8 pixels in 17 greys; they come with scikit-learn (extra `[eval]`).

The test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", 1998
(https://doi.org/10.24432/C50P49).
"""

from typing import Any

import numpy as np
import torch

from qkv.base.errors import UnsupportedError
from qkv.data.pictures import Picture, PictureData, hash_content, split_pictures
from qkv.image.preprocessing import Preprocessing

LABELS = tuple(str(digit) for digit in range(10))
PREPROCESSING = Preprocessing(size=(8, 8), interpolation="bilinear", mean=(0.0,), std=(1.0,))
_WHITE = 16


def load_digits(*, fold: int | None = None) -> PictureData:
    """Return the digits, one channel from 0 (black) to 1, split for good by a hash of their pixels.

    fold: from 0 to 4, to test on another fifth each time. UnsupportedError without scikit-learn.
    """
    found = _load()
    pictures = []
    for pixels, label in zip(found.images, found.target, strict=True):
        image = torch.from_numpy((pixels / _WHITE).astype(np.float32))[None]
        content = hash_content(pixels.astype(np.uint8).tobytes())
        pictures.append(Picture(image, int(label), (8, 8), content))
    return split_pictures("digits", LABELS, pictures, fold=fold)


def _load() -> Any:
    try:  # scikit-learn belongs to an extra: only those who ask for this data need it
        from sklearn import datasets
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise UnsupportedError('The built-in digits need scikit-learn: pip install "qkv[eval]"') from error
    return datasets.load_digits()
