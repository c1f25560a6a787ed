"""Linear layers whose float32 products on a CPU are oneDNN's.

PyTorch gives products in bfloat16 to oneDNN, and those in float32 to MKL, whose best kernels run on Intel's CPUs only.
On Zen 5 oneDNN multiplies twice as fast; bench/roofline.py measures both.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
WORK = 1 << 20  # multiplications from which oneDNN's slower start, 10 us, pays


class Linear(nn.Linear):
    """torch.nn.Linear that multiplies with `linear`."""

    def forward(self, input: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Return x W^T + b."""
        return linear(input, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*b i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, "o"] | None = None
) -> Float[Tensor, "*b o"]:
    """Return x W^T + b: what F.linear returns, up to the order of sums, by oneDNN where that is faster."""
    return _OneDnn.apply(x, weight, bias) if _pays(x, weight) else F.linear(x, weight, bias)  # type: ignore[no-any-return]


def keep_rows(layer: nn.Linear, rows: Int[Tensor, "n"]) -> None:
    """Forget all outputs of a layer but these."""
    layer.weight, layer.out_features = kept(layer.weight, 0, rows), rows.numel()
    if layer.bias is not None:
        layer.bias = kept(layer.bias, 0, rows)


def keep_columns(layer: nn.Linear, columns: Int[Tensor, "n"]) -> None:
    """Forget all inputs of a layer but these."""
    layer.weight, layer.in_features = kept(layer.weight, 1, columns), columns.numel()


def kept(x: Tensor, dim: int, at: Int[Tensor, "n"]) -> nn.Parameter:
    """Return a parameter with what lies at these places along an axis."""
    return nn.Parameter(x.detach().index_select(dim, at.to(x.device)), requires_grad=x.requires_grad)


def _pays(x: Tensor, weight: Tensor) -> bool:
    return (
        x.dtype == weight.dtype == torch.float32
        and x.is_cpu
        and x.dim() > 1
        and x.numel() * weight.size(0) >= WORK
        and HAS_ONEDNN
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class _OneDnn(torch.autograd.Function):
    """oneDNN's product with its gradients, which are such products again."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (dy,), (wants_x, wants_weight, wants_bias) = ctx.saved_tensors, grads, ctx.needs_input_grad
        rows = dy.flatten(0, -2)
        return (
            linear(dy, weight.mT) if wants_x else None,
            linear(rows.mT, x.flatten(0, -2).mT) if wants_weight else None,
            rows.sum(0) if wants_bias else None,
        )
