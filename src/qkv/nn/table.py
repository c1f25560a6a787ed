"""The table of token vectors, read both ways."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class TokenTable(nn.Embedding):
    """Ids to vectors, and states to scores of ids: Press and Wolf 2017 (https://arxiv.org/abs/1608.05859)."""

    def logits(self, x: Float[Tensor, "*b m"], bias: Float[Tensor, "v"] | None = None) -> Float[Tensor, "*b v"]:
        """Return the score of every token at every place of x: x E^T + bias."""
        return F.linear(x, self.weight, bias)
