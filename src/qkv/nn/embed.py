"""Positions: five ways to tell a net where a token stands."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.ops.positions import SIN_COS


class SinCosPositions(nn.Module):
    """Add a fixed table of sines and cosines: Vaswani et al. 2017, section 3.5; `layout` is a key of SIN_COS."""

    def __init__(self, layout: str, max_len: int, d_model: int) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("table", torch.empty(max_len, d_model), persistent=False)
        self.fill_buffers()

    def fill_buffers(self, like: Tensor | None = None) -> None:
        """Compute the table again, of the type and on the device of `like`: after building on the meta device."""
        self.table = SIN_COS[self.layout](*self.table.shape).to(self.table if like is None else like)

    def forward(self, x: Float[Tensor, "b t m"], at: Int[Tensor, "#b t"]) -> Float[Tensor, "b t m"]:
        """Return x with the positions `at` told to it."""
        return x + self.table[at]


class LearnedPositions(nn.Module):
    """Add a learned vector per position: Gehring et al. 2017 (https://arxiv.org/abs/1705.03122), section 3.1."""

    def __init__(self, max_len: int, d_model: int) -> None:
        super().__init__()
        self.table = nn.Embedding(max_len, d_model)

    def forward(self, x: Float[Tensor, "b t m"], at: Int[Tensor, "#b t"]) -> Float[Tensor, "b t m"]:
        """Return x with the positions `at` told to it."""
        return x + self.table(at)


class ConcatenatedPositions(SinCosPositions):
    """Join [x; p] and project back to d_model, as one of the lectures draws it.

    W[x; p] = W1 x + W2 p: so joining is adding, after a linear map of each.
    """

    def __init__(self, max_len: int, d_model: int) -> None:
        super().__init__("interleaved", max_len, d_model)
        self.join = nn.Linear(2 * d_model, d_model, bias=False)

    def forward(self, x: Float[Tensor, "b t m"], at: Int[Tensor, "#b t"]) -> Float[Tensor, "b t m"]:
        """Return x with the positions `at` told to it."""
        return self.join(torch.cat((x, self.table[at].expand_as(x)), -1))


def make_positions(kind: str, max_len: int, d_model: int) -> nn.Module:
    """Return the positions of a kind: a layout of SIN_COS, "learned" or "concatenated"."""
    if kind == "learned":
        return LearnedPositions(max_len, d_model)
    if kind == "concatenated":
        return ConcatenatedPositions(max_len, d_model)
    return SinCosPositions(kind, max_len, d_model)


def fill_buffers(net: nn.Module) -> None:
    """Compute every table of a net that its files do not hold, of the parameters' type: after building on meta."""
    like = next(net.parameters(), None)
    for module in net.modules():
        fill = getattr(module, "fill_buffers", None)
        if fill is not None:
            fill(like)
