"""Stochastic depth: whole sublayers left out at random."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leave out what a sublayer adds, for a share `rate` of the batch's rows, and raise the rest by 1 / (1 - rate).

    Huang et al. 2016, section 3 (https://arxiv.org/abs/1603.09382), one draw per row as in DeiT. In training only. The
    rate differs from layer to layer: it is a tensor, so that compiled blocks share one graph.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self._rate = rate
        self.register_buffer("rate", torch.empty(()), persistent=False)
        self.fill_buffers()

    def fill_buffers(self, like: Tensor | None = None) -> None:
        """Set the rate again, of the type and on the device of `like`: after building on the meta device."""
        self.rate = torch.tensor(self._rate).to(self.rate if like is None else like)

    def forward(self, x: Float[Tensor, "b *t"]) -> Float[Tensor, "b *t"]:
        """Return x, some rows of it zero."""
        if not self.training:
            return x
        kept = torch.rand(x.size(0), *[1] * (x.dim() - 1), device=x.device) >= self.rate
        return x * (kept / (1 - self.rate).clamp(min=1e-6)).to(x.dtype)


def rising(rate: float, n_layers: int) -> list[float]:
    """Return the rate of each layer, from 0 in the first to `rate` in the last: Huang et al. 2016, section 3."""
    return [rate * i / max(1, n_layers - 1) for i in range(n_layers)]
