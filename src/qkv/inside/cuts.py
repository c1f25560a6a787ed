"""How the windowed layers of a net cut the map of a picture, in the order in which they ran."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor, nn

from qkv.nn.windows import Cutter, WindowAttention
from qkv.ops.windows import Pair


class Cut(NamedTuple):
    """A map of `grid` places cut into windows, moved by `shift`; places: of each window, -1 where padding lies."""

    grid: Pair
    window: Pair
    shift: Pair
    places: Int[Tensor, "n w"]


@contextmanager
def watch_cuts(net: nn.Module) -> Iterator[list[Cut]]:
    """Record the cut of every windowed attention that runs inside the block; nets without windows leave it empty."""
    made: dict[int, tuple[Any, Cut]] = {}
    seen: list[Cut] = []

    def remember(cutter: Any, inputs: tuple[Any, ...], windows: Any) -> None:
        grid = tuple(inputs[0].shape[1:3])
        places = windows.index.where(windows.index < grid[0] * grid[1], torch.tensor(-1, device=windows.index.device))
        window, shift = cutter.fit(grid)
        made[id(windows)] = windows, Cut(grid, window, shift, places.cpu())

    def note(attention: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(made[id(inputs[1].windows)][1])

    hooks = [m.register_forward_hook(remember) for m in net.modules() if isinstance(m, Cutter)]
    hooks += [m.register_forward_pre_hook(note) for m in net.modules() if isinstance(m, WindowAttention)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
