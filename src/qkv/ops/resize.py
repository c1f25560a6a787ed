"""Tables of learned positions, resized to pictures of another size."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def resize_table(
    table: Float[Tensor, "b t m"], old: tuple[int, int], new: tuple[int, int], *, antialias: bool
) -> Float[Tensor, "b s m"]:
    """Return the positions of a grid of `new` rows and columns, out of those of an `old` one: bicubic interpolation.

    Dosovitskiy et al. 2021, section 3.2 (https://arxiv.org/abs/2010.11929). antialias: weigh all old positions under a
    new one where the grid shrinks. Computed in fp32 at least.
    """
    if old == new:
        return table
    wide = torch.promote_types(table.dtype, torch.float32)
    grid = table.unflatten(1, old).permute(0, 3, 1, 2).to(wide)
    grid = F.interpolate(grid, new, mode="bicubic", align_corners=False, antialias=antialias)
    return grid.permute(0, 2, 3, 1).flatten(1, 2).to(table.dtype)
