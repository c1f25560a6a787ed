import math

import pytest
import torch
from torch import Tensor

from qkv.ops.resize import resize_table


def cubic(x: float, a: float) -> float:
    """Keys 1981, eq. 4."""
    x = abs(x)
    if x < 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def weights(old: int, new: int, antialias: bool) -> Tensor:
    """Return what each old place gives to each new one: four neighbours, or all that lie under it."""
    table, scale = torch.zeros(new, old, dtype=torch.float64), old / new
    for i in range(new):
        at = (i + 0.5) * scale - 0.5
        if antialias:
            wide = max(1.0, scale)
            row = torch.tensor([cubic((j - at) / wide, -0.5) for j in range(old)], dtype=torch.float64)
            table[i] = row / row.sum()
        else:
            for j in range(math.floor(at) - 1, math.floor(at) + 3):
                table[i, min(max(j, 0), old - 1)] += cubic(at - j, -0.75)
    return table


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("new", [(6, 6), (2, 9), (7, 1), (3, 5)])
def test_it_is_bicubic_interpolation_of_rows_and_columns(new, antialias):
    old = (4, 5)
    table = torch.randn(1, 20, 3, dtype=torch.float64)
    rows, columns = (weights(a, b, antialias) for a, b in zip(old, new, strict=True))
    wanted = torch.einsum("yr,xc,brcm->byxm", rows, columns, table.view(1, 4, 5, 3)).flatten(1, 2)
    torch.testing.assert_close(resize_table(table, old, new, antialias=antialias), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("antialias", [False, True])
def test_the_same_grid_is_the_same_table(antialias):
    table = torch.randn(1, 6, 3)
    assert resize_table(table, (2, 3), (2, 3), antialias=antialias) is table
    assert not torch.equal(resize_table(table, (2, 3), (3, 2), antialias=antialias), table)


def test_half_precision_is_computed_in_single():
    table = torch.randn(1, 16, 3).bfloat16()
    wanted = resize_table(table.float(), (4, 4), (6, 3), antialias=False).bfloat16()
    assert torch.equal(resize_table(table, (4, 4), (6, 3), antialias=False), wanted)
