"""Pictures for tests: two photographs that scikit-learn brings, and files made in memory."""

import io
from functools import cache

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


@cache
def photographs() -> tuple[Image.Image, ...]:
    """Return the two photographs, 640 x 427."""
    return tuple(Image.fromarray(pixels) for pixels in load_sample_images().images)


@cache
def sized(columns: int, rows: int) -> Image.Image:
    """Return a photograph pressed into a size."""
    return photographs()[0].resize((columns, rows), Image.Resampling.BICUBIC)


def noise(columns: int, rows: int, bands: int = 3, seed: int = 0) -> Image.Image:
    """Return random bytes as a picture: the hardest case for scaling."""
    pixels = np.random.default_rng(seed).integers(0, 256, (rows, columns, bands), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze())


def encode(picture: Image.Image, format: str, **options) -> bytes:
    """Return the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()
