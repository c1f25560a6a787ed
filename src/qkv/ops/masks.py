"""Who may look at whom: boolean masks, True = may look."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def keys_mask(mask: Bool[Tensor, "b s"]) -> Bool[Tensor, "b 1 1 s"]:
    """Turn a mask of real tokens (True) and padding (False) into one that hides padding from every query and head."""
    return mask[:, None, None]


def reach_mask(at: Int[Tensor, "t"], n_keys: int) -> Bool[Tensor, "t n"]:
    """Let the query at position `at[i]` see the keys 0..at[i]: the causal mask of a cache whose rows are positions."""
    return torch.arange(n_keys, device=at.device) <= at[:, None]


def causal_mask(n_queries: int, n_keys: int, device: torch.device | None = None) -> Bool[Tensor, "t s"]:
    """Let each query see its own position and those before it; both sequences start at position 0."""
    return reach_mask(torch.arange(n_queries, device=device), n_keys)


def additive(mask: Bool[Tensor, "*s"], dtype: torch.dtype) -> Float[Tensor, "*s"]:
    """Return what a mask adds to scores: 0 where one may look, -inf elsewhere."""
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)
