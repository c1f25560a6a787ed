"""Attention whose scores are not a scaled product of heads: additive (Bahdanau) and Luong's three.

Each score is a module with two methods. `remember` turns a memory into keys, once per source; `forward` scores queries
against keys. The seat `Weigh` turns scores into weights, wherever they come from.
"""

from jaxtyping import Bool, Float
from torch import Tensor, nn

from qkv.ops.attend import mix


class Weigh(nn.Module):
    """The seat of every other attention: no parameters, and the place to listen to (`qkv.look`)."""

    def forward(
        self,
        scores: Float[Tensor, "b t s"],
        values: Float[Tensor, "b s m"],
        mask: Bool[Tensor, "b #t s"] | None = None,
    ) -> tuple[Float[Tensor, "b t m"], Float[Tensor, "b t s"]]:
        """Return the context of each query and its weights: Bahdanau et al. 2015, eqs. 5 and 6."""
        return mix(scores, values, mask)


class AdditiveScore(nn.Module):
    """e = v . tanh(W q + U k): Bahdanau et al. 2015, section A.1.2 (https://arxiv.org/abs/1409.0473).

    Luong's "concat", v . tanh(W [q; k]) (Luong et al. 2015, eq. 8), is the same thing: W [q; k] = W1 q + W2 k.
    """

    def __init__(self, d_query: int, d_memory: int, d_hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(d_query, d_hidden, bias=False)
        self.key = nn.Linear(d_memory, d_hidden, bias=False)
        self.energy = nn.Linear(d_hidden, 1, bias=False)

    def remember(self, memory: Float[Tensor, "b s m"]) -> Float[Tensor, "b s a"]:
        """Return U k."""
        return self.key(memory)

    def forward(self, q: Float[Tensor, "b t n"], keys: Float[Tensor, "b s a"]) -> Float[Tensor, "b t s"]:
        """Return the energies of every query with every key; needs memory for (b, t, s, a)."""
        return self.energy((self.query(q)[:, :, None] + keys[:, None]).tanh()).squeeze(-1)


class GeneralScore(nn.Module):
    """e = q . W k: Luong et al. 2015, eq. 8 "general" (https://arxiv.org/abs/1508.04025)."""

    def __init__(self, d_query: int, d_memory: int) -> None:
        super().__init__()
        self.key = nn.Linear(d_memory, d_query, bias=False)

    def remember(self, memory: Float[Tensor, "b s m"]) -> Float[Tensor, "b s n"]:
        """Return W k."""
        return self.key(memory)

    def forward(self, q: Float[Tensor, "b t n"], keys: Float[Tensor, "b s n"]) -> Float[Tensor, "b t s"]:
        """Return the products of every query with every key."""
        return q @ keys.mT


class DotScore(nn.Module):
    """e = q . k, unscaled: Luong et al. 2015, eq. 8 "dot"; queries and memory have one width."""

    def remember(self, memory: Float[Tensor, "b s n"]) -> Float[Tensor, "b s n"]:
        """Return the memory itself."""
        return memory

    def forward(self, q: Float[Tensor, "b t n"], keys: Float[Tensor, "b s n"]) -> Float[Tensor, "b t s"]:
        """Return the products of every query with every key."""
        return q @ keys.mT
