"""The position-wise network: the same two layers at every place."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from qkv.nn.linear import Linear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
}


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


class GatedMlp(nn.Module):
    """Widen twice, let one half open the other, narrow: SwiGLU of Shazeer 2020, section 2, eq. 6, without biases there.

    https://arxiv.org/abs/2002.05202. `up` makes the gate first, then what passes it.
    """

    def __init__(self, d_model: int, d_ff: int, act: str, *, bias: bool = False) -> None:
        super().__init__()
        self.act = ACTIVATIONS[act]
        self.up, self.down = Linear(d_model, 2 * d_ff, bias=bias), Linear(d_ff, d_model, bias=bias)

    def forward(self, x: Float[Tensor, "*b m"]) -> Float[Tensor, "*b m"]:
        """Return the new vector of every place; no place sees another."""
        gate, x = self.up(x).chunk(2, -1)
        return self.down(self.act(gate) * x)
