"""What an objective is: examples become batches, batches a loss and figures. Training knows nothing else of it."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from qkv.data.sampler import Sampler

JUDGED = "judged"


class Loss(NamedTuple):
    """Sums over the units of a batch, in nats: the trained loss, the plain cross-entropy, and how many units."""

    total: Float[Tensor, ""]
    plain: Float[Tensor, ""]
    n_units: int


class Watch(NamedTuple):
    """The validation figure that says which weights are best."""

    figure: str
    better: Literal["lower", "higher"]

    def prefers(self, value: float, best: float) -> bool:
        """Tell whether a value is better than the best so far; NaN never is."""
        return value < best if self.better == "lower" else value > best


@runtime_checkable
class Objective(Protocol):
    """What a net is trained for.

    unit: what a loss counts, in the plural: "tokens", "pictures". watch: what decides early stopping.
    """

    unit: str
    watch: Watch

    def length(self, example: Any) -> int:
        """Return how much of a batch's budget an example takes: its tokens; of pictures, each is 1."""
        ...

    def vary(self, example: Any, *name: int | str) -> Any:
        """Return an example as it is seen this once; what is drawn depends only on the name.

        name: seed, epoch and number of the example; of examples that figures are made of, JUDGED and number.
        """
        return example

    def batch(self, examples: Sequence[Any]) -> Any:
        """Return varied examples side by side."""
        ...

    def loss(self, net: Any, batch: Any) -> Loss:
        """Return the loss of a batch."""
        ...

    def figures(self, net: Any, examples: Sequence[Any]) -> dict[str, float]:
        """Return what a net in eval mode reaches on examples, `watch.figure` among it; the same draws every time."""
        ...


def batches(task: Objective, examples: Sequence[Any], budget: int) -> Iterator[Any]:
    """Yield all examples once, in batches within a budget (or of one example that is longer)."""
    lengths = [task.length(example) for example in examples]
    for numbers in Sampler(lengths, max(budget, *lengths)).order(0):
        yield task.batch([task.vary(examples[i], JUDGED, i) for i in numbers])
