"""From any picture to what a net reads: scaled, cropped and normalised exactly as its checkpoint was trained."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from qkv.base.errors import ConfigError, DataError
from qkv.image.arrays import read_array
from qkv.image.decode import check_pixels, read_picture

Source = str | Path | bytes | Image.Image | np.ndarray | Tensor
"""A file, the bytes of one, a picture of Pillow, an array (y, x, c), or a tensor (c, y, x)."""

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
MOST_SIDE = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How a model wants its pictures. Sizes are (rows, columns); it travels with the weights.

    how: "stretch" scales to `size` and forgets the proportions; "short side" keeps them and scales to the smallest
    picture that covers `size`. crop: the middle of that, cut out; None leaves the whole. crop_rounding: where the
    border to cut away is odd, the middle lies half a pixel "down" of the cut (transformers), or the half is rounded
    to even (torchvision, so timm). rescale: what turns a byte into the number that mean and std are about, one of
    each per channel. Scaling down averages all pixels (antialias), as Pillow does.
    """

    size: tuple[int, int]
    how: Literal["stretch", "short side"] = "stretch"
    crop: tuple[int, int] | None = None
    crop_rounding: Literal["down", "even"] = "down"
    interpolation: Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"] = "bicubic"
    rescale: float = 1 / 255
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        faults = []
        if not all(1 <= side <= MOST_SIDE for side in (*self.size, *(self.crop or ()))):
            faults.append(f"size {self.size} and crop {self.crop} must be from 1 to {MOST_SIDE:,} pixels a side")
        if self.crop and (self.crop[0] > self.size[0] or self.crop[1] > self.size[1]):
            faults.append(f"crop {self.crop} does not fit into size {self.size}")
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            faults.append(f"mean {self.mean} and std {self.std} must both have 1 number, or 3 (RGB)")
        if not all(1e-6 <= x <= 1e6 for x in (self.rescale, *self.std)):
            faults.append(f"rescale {self.rescale} and std {self.std} must be from 1e-6 to 1e6")
        if not all(abs(x) <= 1e6 for x in self.mean):
            faults.append(f"mean {self.mean} must be from -1e6 to 1e6")
        if faults:
            raise ConfigError(f"Preprocessing: {'; '.join(faults)}.")

    @property
    def n_channels(self) -> int:
        """Channels of the pictures it makes: 3 is RGB, 1 is grey."""
        return len(self.mean)

    @property
    def out(self) -> tuple[int, int] | None:
        """Rows and columns of what it makes; None where that depends on the picture."""
        return self.crop or (self.size if self.how == "stretch" else None)


def prepare(source: Source, cfg: Preprocessing) -> Float[Tensor, "c y x"]:
    """Return one picture as the net reads it.

    Floats that must be scaled are rounded to bytes first, as all do; those of the right size stay what they are.
    Raises DataError on a file that is no sound picture, and on an array that is not what `read_array` takes.
    """
    pixels = _read(source, cfg.n_channels)
    rows, columns, _ = pixels.shape
    size = scaled_size(rows, columns, cfg)
    if size != (rows, columns):
        pixels = _scale(pixels, size, cfg)
    left, top, right, bottom = crop_box(size, cfg)
    levels = 255.0 if pixels.dtype == np.float32 else 1.0
    x = torch.from_numpy(pixels[top:bottom, left:right].astype(np.float32)).permute(2, 0, 1) * levels
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (cfg.mean, cfg.std))
    return ((x * cfg.rescale - mean) / std).contiguous()


def prepare_all(sources: Iterable[Source], cfg: Preprocessing) -> Float[Tensor, "b c y x"]:
    """Return several pictures as one batch; without a crop of one size, they must come out alike."""
    pictures = [prepare(source, cfg) for source in sources]
    if not pictures:
        raise DataError("There are no pictures to prepare.")
    sizes = sorted({tuple(picture.shape[1:]) for picture in pictures})
    if len(sizes) != 1:
        raise ConfigError(f"These pictures come out in {len(sizes)} sizes ({sizes[:3]}): give them one by one.")
    return torch.stack(pictures)


def scaled_size(rows: int, columns: int, cfg: Preprocessing) -> tuple[int, int]:
    """Return the rows and columns that a picture is scaled to, before the crop."""
    if cfg.how == "stretch":
        return cfg.size
    height, width = cfg.size
    if height == width:  # torchvision's rule, which all follow: the long side is rounded down
        return (height * rows // columns, width) if columns <= rows else (height, width * columns // rows)
    ratio = min(rows / height, columns / width)
    return round(rows / ratio), round(columns / ratio)  # timm's ResizeKeepRatio


def crop_box(size: tuple[int, int], cfg: Preprocessing) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of what is cut out of a scaled picture."""
    height, width = cfg.crop or size
    spare = (size[0] - height, size[1] - width)
    top, left = (n // 2 if cfg.crop_rounding == "down" else round(n / 2) for n in spare)
    return left, top, left + width, top + height


def _read(source: Source, n_channels: int) -> np.ndarray:
    """Return the picture as (y, x, c), in bytes or in floats from 0 to 1."""
    if isinstance(source, np.ndarray | Tensor):
        return read_array(source, n_channels=n_channels)
    if isinstance(source, str | Path | bytes | Image.Image):
        return _pixels(read_picture(source, n_channels=n_channels))
    raise DataError(f"A picture is a file, an array or a tensor, not a {type(source).__name__}.")


def _scale(pixels: np.ndarray, size: tuple[int, int], cfg: Preprocessing) -> np.ndarray:
    check_pixels("The picture, scaled,", *size)
    if pixels.dtype == np.float32:
        pixels = np.rint(pixels * 255).astype(np.uint8)
    picture = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)
    return _pixels(picture.resize((size[1], size[0]), FILTERS[cfg.interpolation]))


def _pixels(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]
