"""The position-wise network: the same two layers at every place."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from qkv.nn.linear import Linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}


class Mlp(nn.Module):
    """Widen, bend, narrow: Vaswani et al. 2017, section 3.3, eq. 2. Dropout sits after the activation."""

    def __init__(self, d_model: int, d_ff: int, act: str, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.act = ACTIVATIONS[act]
        self.up, self.down = Linear(d_model, d_ff), Linear(d_ff, d_model)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*b m"]) -> Float[Tensor, "*b m"]:
        """Return the new vector of every place; no place sees another."""
        return self.down(self.drop(self.act(self.up(x))))
