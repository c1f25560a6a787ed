"""The table of token vectors, read both ways."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.base.errors import ShapeError
from qkv.ops.linear import linear


class TokenTable(nn.Embedding):
    """Ids to vectors, and states to scores of ids: Press and Wolf 2017 (https://arxiv.org/abs/1608.05859)."""

    def forward(self, input: Int[Tensor, "*b"]) -> Float[Tensor, "*b m"]:
        """Return the vectors of tokens; ShapeError names an id outside the vocabulary."""
        check_ids(input, self.num_embeddings)
        return super().forward(input)

    def logits(self, x: Float[Tensor, "*b m"], bias: Float[Tensor, "v"] | None = None) -> Float[Tensor, "*b v"]:
        """Return the score of every token at every place of x: x E^T + bias."""
        return linear(x, self.weight, bias)


def check_ids(ids: Int[Tensor, "*b"], vocab_size: int) -> None:
    """Raise ShapeError that names an id outside the vocabulary; on a CPU, where reading ids costs nothing."""
    if not ids.is_cpu or not ids.numel() or torch.compiler.is_compiling():
        return
    low, high = ids.aminmax()
    if low < 0 or high >= vocab_size:
        place = ((ids < 0) | (ids >= vocab_size)).nonzero()[0].tolist()
        raise ShapeError(
            f"Token id {ids[tuple(place)]} at {place} is outside the vocabulary ({vocab_size:,}). "
            "Is this tokenizer for another model?"
        )
