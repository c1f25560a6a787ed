"""What sits on top of a body: scores of tokens for hidden places, scores of labels for texts, tokens and pictures."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from qkv.nn.linear import Linear
from qkv.nn.mlp import ACTIVATIONS


class MaskedHead(nn.Module):
    """Scores of every token for a hidden place: one more layer with a norm, then the body's own token table.

    Devlin et al. 2019, section 3.1 (https://arxiv.org/abs/1810.04805), as their code has it.
    """

    def __init__(self, d_model: int, vocab_size: int, act: str, eps: float) -> None:
        super().__init__()
        self.dense, self.act, self.norm = Linear(d_model, d_model), ACTIVATIONS[act], nn.LayerNorm(d_model, eps=eps)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, x: Float[Tensor, "*b m"], score: Callable[[Tensor, Tensor], Tensor]) -> Float[Tensor, "*b v"]:
        """Return the logits; `score` is `logits` of the body's token table."""
        return score(self.norm(self.act(self.dense(x))), self.bias)


class LabelHead(nn.Module):
    """Scores of labels for each vector, with a layer before if `act` names its activation."""

    def __init__(
        self, d_model: int, n_labels: int, *, act: str | None = None, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        if act is not None:
            self.dense, self.act = Linear(d_model, d_model), ACTIVATIONS[act]
        self.drop, self.out = nn.Dropout(dropout), Linear(d_model, n_labels, bias=bias)

    def forward(self, x: Float[Tensor, "*b m"]) -> Float[Tensor, "*b k"]:
        """Return the logits of the labels."""
        if hasattr(self, "dense"):
            x = self.act(self.dense(x))
        return self.out(self.drop(x))


def first_of(states: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"] | None) -> Float[Tensor, "b m"]:
    """Return the state of the first real token of each row, which stands for its text."""
    if mask is None:
        return states[:, 0]
    return states[torch.arange(states.size(0), device=states.device), mask.long().argmax(1)]
