"""Switch heads of attention off, down or over to their mean while a net runs, and find out which of them matter."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qkv.base.errors import ConfigError, ShapeError
from qkv.inside.seats import Seat, check_heads, choose_seat, differentiable, find_seats, hooked
from qkv.models.family import MapSpec

Change = Callable[[Float[Tensor, "b h t e"]], Float[Tensor, "b h t e"] | None]


@contextmanager
def edit_heads(
    model: Any,
    factors: Mapping[tuple[int, int], float],
    *,
    kind: str | None = None,
    stream: str | None = None,
    means: Mapping[MapSpec, Float[Tensor, "h e"]] | None = None,
) -> Iterator[None]:
    """Scale what heads gather by these factors, {(layer, head): factor}, in every pass inside the `with` block.

    0 takes a head away, 1 leaves it. kind and stream as in `Seen.call`: needed where a layer has more than one map;
    contexts for several maps lie within each other. means: what `mean_outputs` found; a head then moves to its mean
    instead of zero: with f, to f x + (1 - f) mean. The net runs its fast path, compiled parts run eagerly meanwhile.
    Raises ConfigError for heads that the net has not, UnsupportedError while it is being trained.
    """
    seats, by_seat = find_seats(model), {}
    for (layer, head), factor in factors.items():
        seat = choose_seat(seats, layer, kind, stream)
        check_heads(seat.spec, [head])
        if means is not None and seat.spec not in means:
            raise ConfigError(f"means has nothing of layer {layer}: run the net inside mean_outputs first.")
        by_seat.setdefault(seat, {})[head] = factor

    def scale(seat: Seat, factors: dict[int, float]) -> Change:
        gate = torch.tensor([factors.get(head, 1.0) for head in range(seat.spec.heads)], dtype=torch.float64)[
            :, None, None
        ]
        away = None if means is None else (1 - gate) * means[seat.spec][:, None].to(gate)

        def change(x: Tensor) -> Tensor:
            y = x * gate.to(x)
            return y if away is None else y + away.to(x)

        return change

    with _changing(model, {seat: scale(seat, factors) for seat, factors in by_seat.items()}):
        yield


@contextmanager
def mean_outputs(model: Any) -> Iterator[dict[MapSpec, Float[Tensor, "h e"]]]:
    """Collect what each head gathers on average, over all places of all that runs inside the `with` block.

    The averages are there when the block ends. Padding counts as any place: calibrate on inputs without it.
    """
    sums: dict[MapSpec, Tensor] = {}
    counts: dict[MapSpec, int] = {}
    means: dict[MapSpec, Tensor] = {}

    def add(spec: MapSpec) -> Change:
        def change(x: Tensor) -> None:
            sums[spec] = sums.get(spec, 0.0) + x.detach().double().sum((0, 2))
            counts[spec] = counts.get(spec, 0) + x.size(0) * x.size(2)

        return change

    with _changing(model, {seat: add(seat.spec) for seat in find_seats(model)}):
        yield means
    means.update((spec, (total / counts[spec]).float()) for spec, total in sums.items())


def importance(
    model: Any, loss: Callable[[Any], Float[Tensor, "b"]], batches: Iterable[Any]
) -> dict[MapSpec, Float[Tensor, "h"]]:
    """Return how much the loss hangs on each head: the mean over examples of |d loss / d gate|, one backward a batch.

    The gate of a head is a factor of one on what it gathers: Michel et al. 2019, section 4.1
    (https://arxiv.org/abs/1905.10650). loss: runs the net on a batch and returns one number per example.
    """
    gates: dict[MapSpec, Tensor] = {}

    def gate(spec: MapSpec) -> Change:
        def change(x: Tensor) -> Tensor:
            if spec not in gates:  # a recurrent decoder comes once per step
                gates[spec] = x.new_ones(x.size(0), x.size(1), 1, 1).requires_grad_()
            return x * gates[spec]

        return change

    totals: dict[MapSpec, Tensor] = {}
    n_examples = 0
    for batch in batches:
        gates.clear()
        with differentiable(model), _changing(model, {seat: gate(seat.spec) for seat in find_seats(model)}):
            losses = loss(batch)
            if losses.dim() != 1:
                raise ShapeError(f"importance wants one loss per example, not a tensor of shape {[*losses.shape]}.")
            slopes = torch.autograd.grad(losses.sum(), list(gates.values()))
        n_examples += (n := losses.size(0))
        for spec, slope in zip(gates, slopes, strict=True):
            each = slope[..., 0, 0].unflatten(0, (n, -1)).sum(1)  # (n w) h -> n h: windows of one picture
            totals[spec] = totals.get(spec, 0.0) + each.double().abs().sum(0)
    return {spec: (total / n_examples).float() for spec, total in totals.items()}


def _changing(model: Any, changes: Mapping[Seat, Change]) -> AbstractContextManager[None]:
    """Let changes see, and replace, what the heads of seats gather: b h t e, with h = 1 where a seat has no heads."""

    def hook(change: Change) -> Any:
        def changed(seat: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            if not isinstance(output, tuple):
                return change(output)
            context, weights = output
            new = change(context[:, None])
            return None if new is None else (new[:, 0], weights)

        return changed

    return hooked(model, {seat: hook(change) for seat, change in changes.items()})
