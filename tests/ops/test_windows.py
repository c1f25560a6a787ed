"""Cutting maps into windows: one index does what padding, rolling and rearranging do step by step."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from qkv.ops.windows import FAR, cut, find_windows, fit_to_each_side, fit_to_shorter_side, paste

sides = st.integers(1, 11)
windows = st.tuples(st.integers(1, 4), st.integers(1, 4))


def step_by_step(x: torch.Tensor, window: tuple, shift: tuple, shift_first: bool) -> torch.Tensor:
    """Pad, roll, cut, each by itself."""
    moves = [lambda x: F.pad(x, (0, 0, 0, -x.size(2) % window[1], 0, -x.size(1) % window[0]))]
    moves.insert(0 if shift_first else 1, lambda x: x.roll((-shift[0], -shift[1]), (1, 2)))
    for move in moves:
        x = move(x)
    found = [
        x[i, y : y + window[0], z : z + window[1]].flatten(0, 1)
        for i in range(x.size(0))
        for y in range(0, x.size(1), window[0])
        for z in range(0, x.size(2), window[1])
    ]
    return torch.stack(found)


@given(grid=st.tuples(sides, sides), window=windows, at=windows, shift_first=st.booleans())
def test_one_index_does_it_all(grid, window, at, shift_first):
    shift = (at[0] % window[0], at[1] % window[1])
    found = find_windows(grid, window, shift, window, shift_first=shift_first)
    x = torch.randn(2, grid[0] * grid[1], 3)
    there = cut(x, found)
    assert torch.equal(there, step_by_step(x.unflatten(1, grid), window, shift, shift_first))
    assert torch.equal(paste(there, found), x)


@given(grid=st.tuples(sides, sides), window=windows, at=windows)
def test_apart_are_those_who_were_no_neighbours(grid, window, at):
    """As many windows away as a window is wide, or more, in the padded map; sides of one window cannot be shifted."""
    shift = (at[0] % window[0] if grid[0] > window[0] else 0, at[1] % window[1] if grid[1] > window[1] else 0)
    found = find_windows(grid, window, shift, window)
    if shift == (0, 0):
        assert found.apart is None
        return
    padded = [n + -n % w for n, w in zip(grid, window, strict=True)]
    places = torch.cartesian_prod(*(torch.arange(n) for n in padded)).unflatten(0, padded)
    y, x = step_by_step(places[None], window, shift, False).unbind(-1)
    near = ((y[:, :, None] - y[:, None]).abs() < window[0]) & ((x[:, :, None] - x[:, None]).abs() < window[1])
    assert torch.equal(found.apart, torch.where(near, 0.0, FAR))  # type: ignore[arg-type]


@given(window=windows, more=windows)
def test_rows_of_the_table_by_their_offsets(window, more):
    """A smaller window reads the middle of a table that was made for a larger one."""
    table = (window[0] + more[0], window[1] + more[1])
    offsets = torch.cartesian_prod(*(torch.arange(1 - n, n) for n in table))
    found = offsets[find_windows(window, window, (0, 0), table).relative]
    places = torch.cartesian_prod(*(torch.arange(n) for n in window)).view(-1, 2)
    assert torch.equal(found, places[:, None] - places)


@pytest.mark.parametrize(
    ("grid", "shorter", "each"),
    [
        ((8, 9), ((4, 4), (2, 2)), ((4, 4), (2, 2))),
        ((4, 4), ((4, 4), (0, 0)), ((4, 4), (0, 0))),
        ((4, 9), ((4, 4), (0, 0)), ((4, 4), (0, 2))),
        ((9, 3), ((3, 3), (0, 0)), ((4, 3), (2, 0))),
    ],
)
def test_windows_fit_maps(grid, shorter, each):
    assert fit_to_shorter_side(grid, 4) == shorter
    assert fit_to_each_side(grid, 4) == each
