"""Multi-head attention, and the seat where its queries meet its keys."""

from collections import Counter
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.base.errors import ShapeError
from qkv.nn.cache import KeyValue, grow
from qkv.nn.linear import Linear, keep_columns, keep_rows
from qkv.nn.where import EVERYWHERE, Where
from qkv.ops.attend import attend, attend_weights
from qkv.ops.rotary import rotate

FEW_KEYS = 256


class Attend(nn.Module):
    """The seat of scaled dot-product attention: no parameters, and the one place to listen to (`qkv.look`)."""

    def __init__(self, scale: float | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.scale, self.dropout = scale, dropout

    def forward(
        self, q: Float[Tensor, "b h t d"], k: Float[Tensor, "b g s d"], v: Float[Tensor, "b g s e"], where: Where
    ) -> Float[Tensor, "b h t e"]:
        """Return the mix of values that each query sees."""
        if where.lengths is not None:
            parts = [part.split(list(where.lengths), 2) for part in (q, k, v)]
            alone = where._replace(lengths=None)
            return torch.cat([self._mix(q, k, v, alone) for q, k, v in zip(*parts, strict=True)], 2)
        return self._mix(q, k, v, where)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, where: Where) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if dropout == 0.0 and _is_slow_when_fused(q, k):
            return attend_weights(q, k, v, mask=where.mask, bias=where.bias, causal=where.causal, scale=self.scale)[0]
        return attend(q, k, v, mask=where.mask, bias=where.bias, causal=where.causal, scale=self.scale, dropout=dropout)


class Attention(nn.Module):
    """Project to heads, attend, project back: Vaswani et al. 2017, section 3.2.2 (https://arxiv.org/abs/1706.03762).

    Self-attention by default. With `d_memory`, cross-attention: queries from x, keys and values from a memory of that
    width, whose batch may be smaller than x's: then each memory serves the same number of neighbouring rows (beams).
    With fewer `n_kv_heads` than heads, groups of neighbouring heads share keys and values (Ainslie et al. 2023,
    https://arxiv.org/abs/2305.13245). A family whose scores have a term of their own overrides `see`.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        *,
        n_kv_heads: int | None = None,
        d_head: int | None = None,
        d_memory: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.d_head = d_head or d_model // n_heads
        d_query, d_key = n_heads * self.d_head, (n_kv_heads or n_heads) * self.d_head
        self.sizes = (d_query, d_key, d_key)
        if d_memory is None:
            self.qkv = Linear(d_model, sum(self.sizes), bias=bias)
        else:
            self.q = Linear(d_model, d_query, bias=bias)
            self.kv = Linear(d_memory, 2 * d_key, bias=bias)
        self.attend = Attend(dropout=dropout)
        self.out = Linear(d_query, d_model, bias=bias)

    def forward(
        self,
        x: Float[Tensor, "b t m"],
        where: Where = EVERYWHERE,
        memory: Float[Tensor, "n s k"] | None = None,
        cache: KeyValue | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return what each place of x gathers: from x itself, from `memory`, or from what the cache remembers."""
        if hasattr(self, "qkv"):
            q, k, v = (self._heads(part) for part in self.qkv(x).split(self.sizes, -1))
            if where.rotary is not None:
                q, k = rotate(q, *where.rotary), rotate(k, *where.rotary)
            if cache is not None:
                k, v = grow(cache, k, v, where)
        else:
            q = self._heads(self.q(x))
            k, v = cache if memory is None else self.remember(memory)  # type: ignore[misc]
        q, where = q.to(k.dtype), self.see(q, k, where)
        n_rows = q.size(0) // k.size(0)
        if n_rows > 1:
            y = self.attend(_fold(q, n_rows), k, v, where)
            y = y.unflatten(2, (n_rows, -1)).transpose(1, 2).flatten(0, 1)  # n h (r t) e -> (n r) h t e
        else:
            y = self.attend(q, k, v, where)
        return self.out(y.transpose(1, 2).flatten(2).to(x.dtype))

    def see(self, q: Float[Tensor, "b h t d"], k: Float[Tensor, "n g s d"], where: Where) -> Where:
        """Return `where` with what this layer alone adds to its scores, the mask inside: here nothing."""
        return where

    def remember(self, memory: Float[Tensor, "n s k"]) -> KeyValue:
        """Return the keys and values of a memory, to be made once and read in every step (cross-attention only)."""
        return KeyValue(*(self._heads(part) for part in self.kv(memory).chunk(2, -1)))

    def keep(self, heads: Sequence[int]) -> None:
        """Forget all heads but these: their rows of the products before, their columns of the product after.

        Grouped keys and values go with the last head that reads them. Raises ShapeError if groups of unequal size, or
        none, would be left. A family whose heads have parameters beyond the three products overrides this.
        """
        n_shared = self.sizes[0] // self.sizes[1]
        groups = Counter(head // n_shared for head in heads)
        if len({*groups.values()}) != 1:
            left = ", ".join(f"{n} of group {group}" for group, n in sorted(groups.items())) or "none"
            raise ShapeError(
                f"Each group of heads that shares keys and values must keep equally many, or none; left are {left}."
            )
        d_query, d_key, _ = self.sizes
        query, key = _columns(heads, self.d_head), _columns(groups, self.d_head)
        if hasattr(self, "qkv"):
            keep_rows(self.qkv, torch.cat((query, d_query + key, d_query + d_key + key)))
        else:
            keep_rows(self.q, query)
            keep_rows(self.kv, torch.cat((key, d_key + key)))
        keep_columns(self.out, query)
        self.sizes = (query.numel(), key.numel(), key.numel())

    def _heads(self, x: Float[Tensor, "b t k"]) -> Float[Tensor, "b h t d"]:
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)


def _columns(heads: Iterable[int], d_head: int) -> Int[Tensor, "k"]:
    """Return the columns of these heads, in their order, in a product that lays heads side by side."""
    return (torch.tensor(sorted(heads))[:, None] * d_head + torch.arange(d_head)).flatten()


def _is_slow_when_fused(q: Tensor, k: Tensor) -> bool:
    """Tell where products and a softmax are faster: on CPUs the fused bfloat16 kernel is made for many keys.

    Forward, and forward and backward, of 8 x 12 heads of width 64 on Zen 5: 64 keys 1.2 and 8.8 ms fused, 0.7 and 1.9
    not; 197 keys 7.7 and 29.6, 4.2 and 10.9; 256 keys 12.8 and 41.7, 8.5 and 31.7. Beyond, scores outgrow the caches.
    """
    return q.dtype == torch.bfloat16 and q.is_cpu and k.size(2) <= FEW_KEYS


def _fold(q: Float[Tensor, "b h t d"], n_rows: int) -> Float[Tensor, "n h r d"]:
    """Lay the queries of rows that share a memory end to end, so that its keys are read once and copied never."""
    return q.unflatten(0, (-1, n_rows)).transpose(1, 2).flatten(2, 3)
