"""Relative distances: buckets that far ones share, and scores by distance read as scores by key."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def log_buckets(distances: Int[Tensor, "*n"], n_buckets: int, max_distance: int) -> Int[Tensor, "*n"]:
    """Return the bucket of each signed distance: the distance itself when near, ever wider buckets when far.

    Near is up to n_buckets / 2; what is left to n_buckets is spread over the logarithms up to max_distance. Farther
    ones go on beyond: whoever has a row per bucket clamps. max_distance is beyond n_buckets / 2 + 1. As published by He
    et al. 2021 (https://arxiv.org/abs/2006.03654) with DeBERTa-v2, in the fp32 of transformers.
    """
    near = n_buckets // 2
    size = distances.abs().clamp(min=near).float()
    share = (size / near).log() / torch.tensor((max_distance - 1) / near).log()
    far = (share * (near - 1)).ceil() + near
    return torch.where(distances.abs() <= near, distances, (far * distances.sign()).long())


def by_key(scores: Float[Tensor, "*b t w"]) -> Float[Tensor, "*b t t"]:
    """Read scores of the distances -t to t (w = 2t + 1 columns) as scores of keys: out[i, j] = scores[i, t + j - i].

    A view: with one column more than 2t, stepping a row and a key back lands 2t further, so that no index is gathered.
    """
    t = scores.size(-2)
    return scores.flatten(-2)[..., t:].unflatten(-1, (t, 2 * t))[..., :t]
