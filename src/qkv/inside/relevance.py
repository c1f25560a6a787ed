"""Gradient-weighted relevance: which tokens one answer of a net rests on, by attention that mattered to it.

Chefer et al. 2021, section 3, eqs. 5 and 6 (https://arxiv.org/abs/2103.15679): from layer to layer, R grows by the mean
over heads of (A * dA)+ times R, with dA the gradient of the answer in the weights A. These matrices are never made: one
row of R is a vector that passes the layers from the last to the first; a few hundred rows of A and dA are made at once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from qkv.base.errors import ShapeError
from qkv.inside.rollout import one_hot, stack_of
from qkv.inside.seats import Seat, differentiable, find_seats, hooked, net_of
from qkv.ops.tiles import ROWS, Scored


class _Layer(NamedTuple):
    """What one layer did: its call, its values, and what was added to its output, nothing, to have a gradient."""

    call: Scored
    v: Float[Tensor, "b g s e"]
    tap: Float[Tensor, "b h t e"]


def relevance(
    model: Any,
    inputs: Sequence[Any],
    score: Callable[[Any], Float[Tensor, "b"]],
    row: int | Sequence[int],
    *,
    stream: str | None = None,
) -> Float[Tensor, "b *n s"]:
    """Return how much each token counts for an answer, by one pass over `inputs` and one backward.

    score: from what the net says to the answer, one number per input, such as the logit of a label or a token. row: the
    token that the answer is read from: 0 where a class token stands first, -1 for the next token of a text; of several
    rows, one under the other. stream as in `rollout`. Raises UnsupportedError for windows.
    """
    specs = stack_of([seat.spec for seat in find_seats(model)], stream)
    seats = [seat for seat in find_seats(model) if seat.spec in specs]
    layers: dict[Seat, _Layer] = {}

    def listen(seat: Seat) -> Any:
        def hook(module: Any, given: tuple[Tensor, Tensor, Tensor, Any], output: Tensor) -> Tensor:
            q, k, v, where = given
            tap = torch.zeros_like(output, requires_grad=True)
            call = Scored(q, k, where.mask, where.bias, where.causal, module.scale, where.lengths)
            layers[seat] = _Layer(call, v, tap)
            return output + tap

        return hook

    with differentiable(model), hooked(model, {seat: listen(seat) for seat in seats}):
        answer = score(net_of(model)(*inputs))
        if answer.dim() != 1:
            raise ShapeError(f"score must give one number per input, not a tensor of shape {[*answer.shape]}.")
        taps = [layers[seat].tap for seat in seats]
        slopes = torch.autograd.grad(answer.sum(), taps, allow_unused=True, materialize_grads=True)
    r = one_hot(row, *layers[seats[-1]].call.shape[::2]).to(answer.device)
    for seat, slope in zip(reversed(seats), reversed(slopes), strict=True):
        r = r + _carried(r, layers[seat], slope)
    return r[:, 0] if isinstance(row, int) else r


@torch.no_grad()
def _carried(r: Float[Tensor, "b n t"], layer: _Layer, slope: Float[Tensor, "b h t e"]) -> Float[Tensor, "b n s"]:
    """Return r times the mean over heads of (A * dA)+; dA = dO V^T. Rows where r is zero are not made."""
    v = layer.v.repeat_interleave(slope.size(1) // layer.v.size(1), 1).to(r.dtype)
    carried = torch.zeros_like(r)
    for at in r.ne(0).flatten(0, 1).any(0).nonzero()[:, 0].split(ROWS):
        weights = layer.call.rows(at)
        gained = (weights * (slope[:, :, at].to(r.dtype) @ v.mT)).clamp(min=0.0).mean(1)
        carried += r[..., at] @ gained.to(r.dtype)
    return carried
