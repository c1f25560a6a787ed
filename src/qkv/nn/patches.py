"""Pictures as tokens: one vector per square patch."""

from jaxtyping import Float
from torch import Tensor, nn

from qkv.base.errors import ShapeError

COLOURS = {1: " (grey)", 3: " (RGB)"}


class Patches(nn.Conv2d):
    """Cut pictures into squares of `side` pixels and project each: Dosovitskiy et al. 2021, section 3.1, eq. 1.

    https://arxiv.org/abs/2010.11929.
    """

    def __init__(self, n_channels: int, d_model: int, side: int, *, bias: bool = True) -> None:
        super().__init__(n_channels, d_model, side, side, bias=bias)

    def forward(self, input: Float[Tensor, "b c y x"]) -> Float[Tensor, "b rows columns m"]:
        """Return the vector of each patch, in its place; pictures take the type of the weights."""
        (n, height, width), side = input.shape[1:], self.kernel_size[0]
        if n != self.in_channels:
            wanted = f"{self.in_channels}{COLOURS.get(self.in_channels, '')}"
            raise ShapeError(f"Image has {n} channel{'' if n == 1 else 's'}, the model wants {wanted}.")
        if height % side or width % side or not height or not width:
            raise ShapeError(
                f"Image has {height} x {width} pixels, but the model cuts it into patches of {side} x {side}. Resize "
                f"or crop it, so that height and width are multiples of {side}."
            )
        return super().forward(input.to(self.weight.dtype)).permute(0, 2, 3, 1)
