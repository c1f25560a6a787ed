"""Rotary positions turn pairs of columns: scores know distances, and nothing else changes."""

import cmath

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from qkv.ops.rotary import Stretch, rotary_frequencies, rotary_table, rotate


def turned(x: torch.Tensor, at: int, d: int = 8) -> torch.Tensor:
    cos, sin = rotary_table(torch.tensor([at]), rotary_frequencies(d, 100.0))
    return rotate(x.view(1, 1, 1, d), cos, sin).view(d)


def test_each_pair_turns_by_the_angle_of_its_position():
    """Equation 13 of Su et al. 2021, as products of complex numbers; pair i is columns i and i + d/2."""
    x = torch.randn(8)
    y = turned(x, 5)
    for i in range(4):
        z = complex(x[i], x[i + 4]) * cmath.exp(1j * 5 * 100.0 ** (-2 * i / 8))
        assert abs(complex(y[i], y[i + 4]) - z) < 1e-5


def test_scores_depend_on_distance_alone():
    q, k = torch.randn(8), torch.randn(8)
    scores = [turned(q, at) @ turned(k, at - 3) for at in (3, 10, 40)]
    assert all(abs(score - scores[0]) < 1e-5 for score in scores)
    assert abs(turned(q, 9) @ turned(k, 4) - scores[0]) > 1e-2


def test_lengths_stay_and_place_0_changes_nothing():
    x = torch.randn(8)
    assert torch.equal(turned(x, 0), x)
    assert abs(turned(x, 77).norm() - x.norm()) < 1e-5


def test_a_table_follows_the_positions_of_each_row():
    at = torch.tensor([[0, 0, 1], [4, 5, 6]])
    cos, sin = rotary_table(at, rotary_frequencies(6, 10.0))
    assert cos.shape == sin.shape == (2, 3, 6) and cos.dtype == torch.float32
    alone = rotary_table(at[1], rotary_frequencies(6, 10.0))
    assert torch.equal(cos[1], alone[0]) and torch.equal(sin[1], alone[1])


@pytest.mark.parametrize(
    ("theta", "stretch"),
    [
        (500_000.0, Stretch(8.0, 1.0, 4.0, 8192)),
        (500_000.0, Stretch(32.0, 1.0, 4.0, 8192)),
        (17.0, Stretch(3.0, 0.5, 2.0, 40)),
    ],
)
def test_stretched_frequencies_are_those_of_transformers(theta, stretch):
    keys = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    rope = {"rope_type": "llama3", "rope_theta": theta, **dict(zip(keys, stretch, strict=True))}
    config = LlamaConfig(head_dim=64, max_position_embeddings=131_072, rope_parameters=rope)
    wanted, scale = ROPE_INIT_FUNCTIONS["llama3"](config)
    found = rotary_frequencies(64, theta, stretch)
    assert scale == 1.0
    torch.testing.assert_close(found, wanted, rtol=2e-7, atol=0)


def test_a_stretch_slows_long_waves_keeps_short_ones_and_mixes_between():
    plain, slow = (rotary_frequencies(64, 500_000.0, stretch) for stretch in (None, Stretch(8.0, 1.0, 4.0, 8192)))
    share = slow / plain
    waves = 2 * torch.pi / plain
    assert torch.equal(share[waves < 2048], torch.ones_like(share[waves < 2048]))
    torch.testing.assert_close(share[waves > 8192], torch.full_like(share[waves > 8192], 1 / 8))
    between = share[(waves > 2048) & (waves < 8192)]
    assert len(between) and (between < 1).all() and (between > 1 / 8).all()
