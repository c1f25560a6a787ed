"""Products of float32 on a CPU by oneDNN: PyTorch gives it those in bfloat16, and those in float32 to MKL.

MKL's best kernels run on Intel's CPUs only. On Zen 5 oneDNN multiplies twice as fast; bench/roofline.py measures both.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

HAS_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
WORK = 1 << 20  # multiplications from which oneDNN's slower start, 10 us, pays


def linear(
    x: Float[Tensor, "*b i"], weight: Float[Tensor, "o i"], bias: Float[Tensor, "o"] | None = None
) -> Float[Tensor, "*b o"]:
    """Return x W^T + b: what F.linear returns, up to the order of sums, by oneDNN where that is faster."""
    return _OneDnn.apply(x, weight, bias) if _pays(x, weight) else F.linear(x, weight, bias)  # type: ignore[no-any-return]


def is_onednns(x: Tensor) -> bool:
    """Tell whether products of x go to oneDNN if they are large enough."""
    return (
        x.dtype == torch.float32
        and x.is_cpu
        and HAS_ONEDNN
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _pays(x: Tensor, weight: Tensor) -> bool:
    """Part of a wider matrix as weight costs oneDNN a hundred times the product."""
    return (
        x.dim() > 1
        and x.numel() * weight.size(0) >= WORK
        and is_onednns(x)
        and x.dtype == weight.dtype
        and (weight.is_contiguous() or weight.mT.is_contiguous())
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
