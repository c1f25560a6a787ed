"""Attention inside windows is attention over the whole map with an explicit mask."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from qkv.nn.where import Where
from qkv.nn.windows import Cutter, WindowAttention


def with_a_mask(net: WindowAttention, x: Tensor, window: int, shift: int) -> Tensor:
    """The second form, over the whole padded map: a place sees those whose sides fall into the same stretch.

    Stretches are `window` long and begin at `shift`; what lies before the first is a stretch of its own.
    """
    height, width = x.shape[1:3]
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    y = torch.cartesian_prod(torch.arange(x.size(1)), torch.arange(x.size(2)))
    stretch = (y - shift).div(window, rounding_mode="floor")
    sees = (stretch[:, None] == stretch).all(-1)
    offset = (y[:, None] - y).clamp(1 - window, window - 1) + window - 1
    q, k, v = (part.unflatten(-1, (-1, net.d_head)).transpose(1, 2) for part in net.qkv(x.flatten(1, 2)).chunk(3, -1))
    scores = q @ k.mT * net.d_head**-0.5 + net.table[offset[..., 0] * (2 * window - 1) + offset[..., 1]].permute(
        2, 0, 1
    )
    mixed = scores.masked_fill(~sees, -torch.inf).softmax(-1) @ v
    out = net.out(mixed.transpose(1, 2).flatten(2))
    return out.unflatten(1, x.shape[1:3])[:, :height, :width]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("grid", [(6, 6), (7, 10), (5, 4), (4, 11)], ids=str)
@pytest.mark.parametrize("shifted", [False, True])
def test_windows_are_a_mask_over_the_whole_map(grid, shifted, dtype):
    net = WindowAttention(12, 3, (3, 3)).to(dtype)
    torch.nn.init.normal_(net.table)
    x = torch.randn(2, *grid, 12, dtype=dtype)
    windows = Cutter(grid, 3, shifted=shifted, shift_first=False)(x)
    wanted = with_a_mask(net, x, 3, 1 if shifted else 0)
    for given in (x, x.detach()):
        with torch.set_grad_enabled(given is x):  # the bias wants gradients, or the fused kernel runs
            found = net(given.flatten(1, 2), Where(windows=windows)).unflatten(1, grid)
        assert (found - wanted).abs().max() < (1e-5 if dtype == torch.float32 else 1e-12)


def test_a_map_of_another_size_is_cut_as_if_it_were_the_known_one():
    known, other = (Cutter(grid, 3, shifted=True, shift_first=False) for grid in ((8, 5), (6, 6)))
    x = torch.randn(1, 8, 5, 4)
    for a, b in zip(known(x), other(x), strict=True):
        assert torch.equal(a, b)  # type: ignore[arg-type]
    assert other(x.to(torch.bfloat16)).apart.dtype == torch.bfloat16  # type: ignore[union-attr]


def test_the_window_of_a_small_map_is_the_map():
    """Its offsets are the middle of the table; nothing is shifted."""
    small = Cutter((9, 9), 3, shifted=True, shift_first=False)(torch.randn(1, 2, 2, 4))
    assert small.apart is None and small.index.tolist() == [[0, 1, 2, 3]]
    assert small.relative[0].tolist() == [12, 11, 7, 6]
    stays = Cutter((9, 9), 3, shifted=True, shift_first=True)(torch.randn(1, 2, 2, 4))
    assert stays.apart is not None and stays.index.shape == (1, 9)
