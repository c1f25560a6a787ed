"""Linear layers, and taking outputs and inputs out of them."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.ops.linear import linear


class Linear(nn.Linear):
    """torch.nn.Linear that multiplies with `ops.linear`."""

    def forward(self, input: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """Return x W^T + b."""
        return linear(input, self.weight, self.bias)


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
