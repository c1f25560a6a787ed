"""What a head for labels says, with the names of the labels."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor


class Label(NamedTuple):
    """One label and its probability."""

    label: str
    probability: float


def rank_labels(labels: Sequence[str], probabilities: Float[Tensor, "b k"]) -> list[list[Label]]:
    """Return all labels with their probabilities, likeliest first, for each row."""
    orders: list[list[int]] = probabilities.argsort(descending=True).tolist()
    return [[Label(labels[i], float(row[i])) for i in order] for order, row in zip(orders, probabilities, strict=True)]
