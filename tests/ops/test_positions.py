import math

import pytest
import torch

from qkv.ops.positions import SIN_COS, sin_cos_halves, sin_cos_interleaved, sin_cos_tensor2tensor


@pytest.mark.parametrize(("at", "column"), [(0, 0), (0, 1), (1, 0), (1, 1), (7, 4), (100, 9), (511, 62), (511, 63)])
def test_the_papers_formula(at, column):
    """PE(pos, 2i) = sin(pos / 10000^(2i/d)), PE(pos, 2i+1) = cos(the same)."""
    angle = at / 10000 ** (column // 2 * 2 / 64)
    value = math.cos(angle) if column % 2 else math.sin(angle)
    assert sin_cos_interleaved(512, 64)[at, column].item() == pytest.approx(value, abs=1e-7)


def test_the_two_formulas_of_the_lectures_are_one_up_to_the_order_of_columns():
    interleaved = sin_cos_interleaved(5000, 64)
    reordered = torch.cat((interleaved[:, 0::2], interleaved[:, 1::2]), 1)
    assert (reordered - sin_cos_halves(5000, 64)).abs().max() <= 4e-6


def test_tensor2tensor_is_another_table():
    """Its last frequency is 1/10000 exactly; the paper's ends before that, so no order of columns makes them equal."""
    table, paper = sin_cos_tensor2tensor(5000, 64), sin_cos_halves(5000, 64)
    at = torch.arange(5000, dtype=torch.float64)
    torch.testing.assert_close(table[:, 31], (at / 10000).sin().float(), rtol=0, atol=1e-7)
    torch.testing.assert_close(paper[:, 31], (at / 10000 ** (62 / 64)).sin().float(), rtol=0, atol=1e-7)
    torch.testing.assert_close(table[:, 0], paper[:, 0], rtol=0, atol=0)
    assert all((paper - table[:, [i]]).abs().amax(0).min() > 0.1 for i in (1, 15, 31))


@pytest.mark.parametrize("layout", SIN_COS)
@pytest.mark.parametrize("d", [2, 6])
def test_tables_are_rounded_last(layout, d):
    """fp32 angles of position 100,000 would be off by 4e-3; made in fp64, each entry is the nearest fp32."""
    table = SIN_COS[layout](100_001, d)
    assert table.shape == (100_001, d) and table.dtype == torch.float32
    assert table[100_000, 0].item() == pytest.approx(math.sin(100_000), abs=1e-7)
    torch.testing.assert_close(table.square().sum(1), torch.full((100_001,), d / 2), rtol=0, atol=1e-6)
