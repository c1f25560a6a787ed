"""Residual blocks and stacks of them."""

from collections.abc import Callable, Iterator, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from qkv.nn.attention import Attention
from qkv.nn.cache import BlockCache
from qkv.nn.drop_path import DropPath
from qkv.nn.where import EVERYWHERE, Where


class Block(nn.Module):
    """Attention, cross-attention if there is one, then the MLP, each added to a residual stream.

    post norm: norm(x + f(x)) (Vaswani et al. 2017); pre norm: x + f(norm(x)) (Xiong et al. 2020,
    https://arxiv.org/abs/2002.04745). Dropout falls on f's result, and so does stochastic depth of rate `drop_path`: a
    family whose layers have different rates gives each one, zeros too, so that its layers are of one kind.
    """

    def __init__(
        self,
        d_model: int,
        attention: Attention,
        mlp: nn.Module,
        norm: Callable[[int], nn.Module],
        *,
        cross: Attention | None = None,
        pre_norm: bool = False,
        dropout: float = 0.0,
        drop_path: float | None = None,
    ) -> None:
        super().__init__()
        self.pre_norm = pre_norm
        self.attention, self.norm_attention = attention, norm(d_model)
        if cross is not None:
            self.cross, self.norm_cross = cross, norm(d_model)
        self.mlp, self.norm_mlp = mlp, norm(d_model)
        self.drop = nn.Dropout(dropout)
        if drop_path is not None:
            self.drop = nn.Sequential(self.drop, DropPath(drop_path))

    def forward(
        self,
        x: Float[Tensor, "b t m"],
        where: Where = EVERYWHERE,
        memory: Float[Tensor, "n s k"] | None = None,
        memory_where: Where = EVERYWHERE,
        cache: BlockCache | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return the stream after this block."""
        past, source = (None, None) if cache is None else cache
        x = self._add(x, self.norm_attention, self.attention, where, None, past)
        if hasattr(self, "cross"):
            x = self._add(x, self.norm_cross, self.cross, memory_where, memory, source)
        return self._add(x, self.norm_mlp, self.mlp)

    def _add(self, x: Tensor, norm: nn.Module, f: nn.Module, *rest: object) -> Tensor:
        if self.pre_norm:
            return x + self.drop(f(norm(x), *rest))
        return norm(x + self.drop(f(x, *rest)))


class Stack(nn.Module):
    """Blocks in a row, and a last norm where the family has one."""

    def __init__(self, blocks: Sequence[Block], norm: nn.Module | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.Identity() if norm is None else norm

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)  # type: ignore[arg-type]

    def forward(
        self,
        x: Float[Tensor, "b t m"],
        where: Where = EVERYWHERE,
        memory: Float[Tensor, "n s k"] | None = None,
        memory_where: Where = EVERYWHERE,
        caches: Sequence[BlockCache] | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return the stream after the last block; `caches` holds one entry per block."""
        for block, cache in zip(self, caches or [None] * len(self.blocks), strict=True):
            x = block(x, where, memory, memory_where, cache)
        return self.norm(x)
