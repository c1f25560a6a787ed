"""A net for inference alone: its products read weights laid out for the CPU, in half the bytes or in all of them.

A step of decoding reads every weight once and does little with it, so that its speed is the speed of reading. A plain
product with a few rows reads at a third of what the memory gives; oneDNN's kernels on weights in oneDNN's own blocked
layout read at nearly all of it. bench/decode_marian.py measures both.
"""

import copy
from typing import Any, NoReturn, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.nn.table import TokenTable
from qkv.ops.linear import HAS_ONEDNN

Net = TypeVar("Net", bound=nn.Module)


def has_fast_bf16() -> bool:
    """Tell whether oneDNN multiplies bfloat16 in this CPU's own instructions."""
    return HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def pack(net: Net, dtype: torch.dtype = torch.bfloat16, *, blocks: bool = HAS_ONEDNN) -> Net:
    """Return a copy of `net` that only infers, faster: everything in `dtype`, the weights of its products packed.

    dtype: bfloat16 (half the bytes; about three digits) or float32 (the numbers of `net`, up to the order of sums).
    Weights, activations, caches and logits are in `dtype`; softmax and the statistics of norms are computed in fp32
    within their kernels. `blocks=False` keeps PyTorch's layout: the plain path that the packed one is tested against,
    and what machines without oneDNN get. Raises UnsupportedError if `net` is not on a CPU, or is packed already, or
    the CPU has no fast bfloat16.
    """
    if dtype not in (torch.bfloat16, torch.float32):
        raise ConfigError(f"pack makes bfloat16 or float32 nets, not {str(dtype).removeprefix('torch.')}.")
    devices = {p.device.type for p in net.parameters()}
    if devices != {"cpu"}:
        raise UnsupportedError(f"pack is for nets on the CPU; this one is on {', '.join(sorted(devices))}.")
    if dtype == torch.bfloat16 and blocks and not has_fast_bf16():
        raise UnsupportedError("This CPU has no fast bfloat16: use pack(net, torch.float32).")
    twin = copy.deepcopy(net).to(dtype).requires_grad_(False).eval()
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child.weight, child.bias, blocks))
            elif isinstance(child, nn.Embedding):
                setattr(module, name, PackedTable(child, blocks))
            elif isinstance(child, nn.Dropout):
                setattr(module, name, nn.Identity())  # a small net's step is a good part calls
    return twin


class Sealed(nn.Module):
    """A part of a packed net. What it refuses, every net that holds it refuses."""

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedError(
            f"A packed net cannot be {what}: its weights lie in the CPU's own layout. Use the net it was packed from."
        )

    def train(self, mode: bool = True) -> "Sealed":
        """Refuse to be trained; eval() is welcome."""
        return self._refuse("trained") if mode else super().train(mode)

    def state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be saved."""
        self._refuse("saved")

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("loaded into")

    def _apply(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("moved or cast")

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self._refuse("copied")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        self._refuse("pickled")


class PackedLinear(Sealed):
    """A linear layer that cannot learn. Its tensors are no parameters, so that nothing finds and changes them."""

    def __init__(
        self, weight: Float[Tensor, "o i"], bias: Float[Tensor, "o"] | None, blocks: bool = HAS_ONEDNN
    ) -> None:
        super().__init__()
        self.blocks = blocks
        self.bias = None if bias is None else bias.detach()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach()) if blocks else weight.detach()

    def forward(self, x: Float[Tensor, "*b i"], bias: Float[Tensor, "o"] | None = None) -> Float[Tensor, "*b o"]:
        """Return x W^T + b; a `bias` given here stands in for the layer's own."""
        bias = self.bias if bias is None else bias
        if self.blocks:
            return torch.ops.mkldnn._linear_pointwise(x, self.weight, bias, "none", [], "")
        return F.linear(x, self.weight, bias)


class PackedTable(Sealed):
    """A token table: its rows as they were for looking up and, if it also scores, packed for the product."""

    def __init__(self, table: nn.Embedding, blocks: bool = HAS_ONEDNN) -> None:
        super().__init__()
        self.rows = table.weight.detach()
        if isinstance(table, TokenTable):
            self.scores = PackedLinear(self.rows, None, blocks)

    def forward(self, ids: Int[Tensor, "*b"]) -> Float[Tensor, "*b m"]:
        """Return the vectors of tokens."""
        return F.embedding(ids, self.rows)

    def logits(self, x: Float[Tensor, "*b m"], bias: Float[Tensor, "v"] | None = None) -> Float[Tensor, "*b v"]:
        """Return the score of every token at every place of x."""
        return self.scores(x, bias)
