"""Rotary positions (Su et al. 2021, https://arxiv.org/abs/2104.09864, section 3.2), halves as in public files.

Pair i is the columns i and i + d/2 of a head, not 2i and 2i + 1 as in the paper: the same rotation of permuted columns.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Stretch(NamedTuple):
    """How Llama 3.1 slows its low frequencies, so that more positions fit (Dubey et al. 2024, section 3.4.3 and code).

    Wavelengths beyond original_max_len / low are slowed by `factor`, those below original_max_len / high stay, those
    between are mixed.
    """

    factor: float
    low: float
    high: float
    original_max_len: int


def rotary_frequencies(d: int, theta: float, stretch: Stretch | None = None) -> Float[Tensor, "half"]:
    """Return theta^(-2i/d) for each pair of columns, in radians per position."""
    frequencies = 1.0 / theta ** (torch.arange(0, d, 2, dtype=torch.int64).float() / d)
    if stretch is None:
        return frequencies
    waves = stretch.original_max_len * frequencies / (2 * math.pi)  # how often a pair turns within the old length
    kept = ((waves - stretch.low) / (stretch.high - stretch.low)).clamp(0, 1)
    return (1 - kept) * frequencies / stretch.factor + kept * frequencies


def rotary_table(
    at: Int[Tensor, "*b t"], frequencies: Float[Tensor, "half"]
) -> tuple[Float[Tensor, "*b t d"], Float[Tensor, "*b t d"]]:
    """Return the cosines and sines of positions, in fp32."""
    angles = at[..., None].float() * frequencies
    angles = torch.cat((angles, angles), -1)
    return angles.cos(), angles.sin()


def rotate(
    x: Float[Tensor, "b h t d"], cos: Float[Tensor, "*#b t d"], sin: Float[Tensor, "*#b t d"]
) -> Float[Tensor, "b h t d"]:
    """Turn each pair of columns by the angle of its position."""
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat((-right, left), -1) * sin
