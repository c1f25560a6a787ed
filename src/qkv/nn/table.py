"""The table of token vectors, read both ways."""

from jaxtyping import Float
from torch import Tensor, nn

from qkv.nn.linear import linear


class TokenTable(nn.Embedding):
    """Ids to vectors, and states to scores of ids: Press and Wolf 2017 (https://arxiv.org/abs/1608.05859)."""

    def logits(self, x: Float[Tensor, "*b m"], bias: Float[Tensor, "v"] | None = None) -> Float[Tensor, "*b v"]:
        """Return the score of every token at every place of x: x E^T + bias."""
        return linear(x, self.weight, bias)
