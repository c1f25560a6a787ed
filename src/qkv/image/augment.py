"""Changes that leave a picture's label as it is, drawn anew each time it is trained on."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from qkv.base.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """How far a picture may be moved, turned and bent; called with a picture, it changes it.

    shift: pixels up, down, left and right at most, whole ones: a random crop of the picture with so wide a border.
    degrees: turned either way. scale: larger or smaller by this share. shear: of its height, bent sideways. flip:
    mirrored, left for right, half of the time. fill: what comes in from outside; black, before normalisation.
    All at once is one affine map and one bilinear reading of the pixels.
    """

    shift: int = 0
    degrees: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    flip: bool = False
    fill: float = 0.0

    def __post_init__(self) -> None:
        if self.shift < 0 or not 0 <= self.degrees <= 180 or not 0 <= self.scale < 1 or not 0 <= self.shear <= 1:
            raise ConfigError(
                f"{self}: shift must be at least 0, degrees from 0 to 180, scale from 0 to below 1, shear from 0 to 1."
            )

    def __call__(self, picture: Float[Tensor, "c y x"], generator: torch.Generator) -> Float[Tensor, "c y x"]:
        """Return a changed copy; what is drawn depends on the generator alone."""
        _, rows, columns = picture.shape
        grid = functional.affine_grid(self._draw(rows, columns, generator), [1, *picture.shape], align_corners=False)
        moved = functional.grid_sample(picture[None] - self.fill, grid.to(picture), align_corners=False)
        return moved[0] + self.fill

    def _draw(self, rows: int, columns: int, generator: torch.Generator) -> Float[Tensor, "1 2 3"]:
        """Return where each place of the result comes from, in halves of the picture's sides.

        As many numbers are drawn whatever is asked for: one setting does not change what another draws.
        """
        turn, grow, bend, side, right, down = (2 * torch.rand(6, generator=generator) - 1).tolist()
        angle, size, bend = math.radians(turn * self.degrees), 1 + grow * self.scale, bend * self.shear
        mirror = -1 if self.flip and side < 0 else 1
        cos, sin = math.cos(angle) / size, math.sin(angle) / size
        x = (cos * mirror, (cos * bend - sin) * rows / columns, 2 * self._whole(right) / columns)
        y = (sin * mirror * columns / rows, sin * bend + cos, 2 * self._whole(down) / rows)
        return torch.tensor([[x, y]])

    def _whole(self, share: float) -> int:
        """Return whole pixels from -shift to shift, each as likely."""
        return min(int((share + 1) / 2 * (2 * self.shift + 1)), 2 * self.shift) - self.shift
