"""Maps cut into windows, shifted and padded: Liu et al. 2021, section 3.2 (https://arxiv.org/abs/2103.14030).

A map is a grid of places, row by row. Cutting, padding and shifting are one index; so is the way back.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Pair = tuple[int, int]  # of rows and columns
FAR = -100.0  # what published code adds, where -inf would be meant


class Windows(NamedTuple):
    """How a map of t places is cut into n windows of s places.

    index: which place of the map lies at each place of each window; t where none does. back: where each place of the
    map lies in the windows laid end to end. relative: for each query and key of a window the row of a table of offsets.
    apart: FAR between places that a shift brought into one window from different sides of the map, else 0; None
    without a shift.
    """

    index: Int[Tensor, "n s"]
    back: Int[Tensor, "t"]
    relative: Int[Tensor, "s s"]
    apart: Float[Tensor, "n s s"] | None


def find_windows(grid: Pair, window: Pair, shift: Pair, table: Pair, *, shift_first: bool = False) -> Windows:
    """Cut a grid into windows whose places see each other, moved by `shift` places down and right.

    What leaves the map at the top and on the left comes back at the bottom and on the right (section 3.2, figure 4). A
    grid that is no multiple of the window is padded at the bottom and on the right: before it is shifted, as in the
    paper's code and transformers, or after, as in timm. table: the window that the table of offsets was made for, at
    least as large.
    """
    sides = [_line(n, w, s, shift_first) for n, w, s in zip(grid, window, shift, strict=True)]
    t = grid[0] * grid[1]
    place = sides[0][:, None] * grid[1] + sides[1]
    index = _squares(place.where((sides[0] < grid[0])[:, None] & (sides[1] < grid[1]), t), window)
    zones = [_zones(side.size(0), w, s) for side, w, s in zip(sides, window, shift, strict=True)]
    zone = _squares(zones[0][:, None] * 3 + zones[1], window)
    apart = torch.where(zone[:, :, None] == zone[:, None], 0.0, FAR) if any(shift) else None
    return Windows(index, index.flatten().argsort()[:t], _offsets(window, table), apart)


def fit_to_shorter_side(grid: Pair, window: int) -> tuple[Pair, Pair]:
    """Return the window and the shift of every second layer on a grid, as the paper's code and transformers fit them.

    A window that is not smaller than the shorter side becomes that side, and nothing is shifted.
    """
    side = min(grid)
    return ((side, side), (0, 0)) if side <= window else ((window, window), (window // 2, window // 2))


def fit_to_each_side(grid: Pair, window: int) -> tuple[Pair, Pair]:
    """Return the window and the shift of every second layer on a grid, as timm fits them: each side on its own."""
    (y, x), half = grid, window // 2
    return (min(y, window), min(x, window)), (half if y > window else 0, half if x > window else 0)


def cut(x: Float[Tensor, "b t m"], windows: Windows) -> Float[Tensor, "bn s m"]:
    """Return the windows of each map, one after the other; padding is zero."""
    n, s = windows.index.shape
    if n * s > x.size(1):
        x = F.pad(x, (0, 0, 0, 1))  # the place beyond the last is the padding's
    return x.index_select(1, windows.index.flatten()).reshape(-1, s, x.size(-1))


def paste(x: Float[Tensor, "bn s m"], windows: Windows) -> Float[Tensor, "b t m"]:
    """Put the windows of each map back into their places, the inverse of `cut`; padding is dropped."""
    return x.reshape(-1, windows.index.numel(), x.size(-1)).index_select(1, windows.back)


def _line(n: int, window: int, shift: int, shift_first: bool) -> Int[Tensor, "p"]:
    """Return what lies at each place of one side, shifted and padded; n is the padding."""
    padding = torch.full((-n % window,), n)
    if shift_first:
        return torch.cat((torch.arange(n).roll(-shift), padding))
    return torch.cat((torch.arange(n), padding)).roll(-shift)


def _zones(n: int, window: int, shift: int) -> Int[Tensor, "n"]:
    """Number the stretches of one side: before the last window, in it, and in it from the other end."""
    at = torch.arange(n)
    return (at >= n - window).long() + (at >= n - shift).long()


def _squares(x: Int[Tensor, "y x"], window: Pair) -> Int[Tensor, "n s"]:
    """Cut a grid of numbers into windows."""
    return x.unflatten(1, (-1, window[1])).unflatten(0, (-1, window[0])).transpose(1, 2).flatten(2).flatten(0, 1)


def _offsets(window: Pair, table: Pair) -> Int[Tensor, "s s"]:
    """Return the row that belongs to each pair of places in a table with a row per offset: eq. 4."""
    at = torch.arange(window[0] * window[1])
    y, x = at // window[1], at % window[1]
    return (y[:, None] - y + table[0] - 1) * (2 * table[1] - 1) + x[:, None] - x + table[1] - 1
