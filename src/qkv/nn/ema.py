"""An exponential moving average of a net's weights: smoother than the last step's (Polyak and Juditsky 1992)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages of all parameters, begun at their present values.

    decay: the share of the old average in the new one. Early averages would remember the random start, so the share is
    at most (1 + n) / (10 + n) after n updates.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self._names = [name for name, _ in net.named_parameters()]
        self._live = list(net.parameters())
        self._mean = [p.detach().clone() for p in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the net's present weights."""
        share = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        for mean, live in zip(self._mean, self._live, strict=True):
            mean.lerp_(live.detach(), 1 - share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the net hold the averages inside the `with` block, and its own weights again after it."""
        own = [p.detach().clone() for p in self._live]
        self._fill(self._mean)
        try:
            yield
        finally:
            self._fill(own)

    def tensors(self) -> dict[str, Tensor]:
        """Return the averages by parameter name."""
        return dict(zip(self._names, self._mean, strict=True))

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Set the averages to saved ones."""
        self.updates = updates
        for name, mean in zip(self._names, self._mean, strict=True):
            mean.copy_(tensors[name])

    @torch.no_grad()
    def _fill(self, values: list[Tensor]) -> None:
        for live, value in zip(self._live, values, strict=True):
            live.copy_(value)
