"""Tables of sines and cosines that tell positions apart: three layouts of one idea, as published code has them.

Vaswani et al. 2017, section 3.5 (https://arxiv.org/abs/1706.03762).
"""

import torch
from jaxtyping import Float
from torch import Tensor


def _angles(n: int, exponents: Float[Tensor, "half"]) -> Float[Tensor, "n half"]:
    """Return position / 10000^exponent, in fp64: rounding to fp32 comes last."""
    return torch.arange(n, dtype=torch.float64)[:, None] / 10000.0**exponents


def _paper(d: int) -> Float[Tensor, "half"]:
    return torch.arange(0, d, 2, dtype=torch.float64) / d


def sin_cos_interleaved(n: int, d: int) -> Float[Tensor, "n d"]:
    """Sine in column 2i, cosine in column 2i+1, frequency 10000^(-2i/d): the paper's formula; d is even."""
    angles = _angles(n, _paper(d))
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1).float()


def sin_cos_halves(n: int, d: int) -> Float[Tensor, "n d"]:
    """All sines, then all cosines, at the paper's frequencies: the interleaved table with its columns in other order.

    The layout of Marian (`MarianSinusoidalPositionalEmbedding` in transformers); d is even.
    """
    angles = _angles(n, _paper(d))
    return torch.cat((angles.sin(), angles.cos()), -1).float()


def sin_cos_tensor2tensor(n: int, d: int) -> Float[Tensor, "n d"]:
    """Halves, but the frequency is 10000^(-i/(d/2-1)), so that the last one is exactly 1/10000.

    The layout of tensor2tensor and fairseq; it equals no reordering of the paper's table. d is even.
    """
    angles = _angles(n, torch.arange(d // 2, dtype=torch.float64) / max(d // 2 - 1, 1))
    return torch.cat((angles.sin(), angles.cos()), -1).float()


SIN_COS = {
    "interleaved": sin_cos_interleaved,
    "halves": sin_cos_halves,
    "tensor2tensor": sin_cos_tensor2tensor,
}
