"""Scores of labels that were given against those that are true."""

from collections import Counter
from collections.abc import Hashable, Sequence

from qkv.base.errors import DataError


def accuracy(said: Sequence[Hashable], true: Sequence[Hashable]) -> float:
    """Return the share of labels that are right."""
    _check(said, true)
    return sum(a == b for a, b in zip(said, true, strict=True)) / len(true)


def macro_f1(said: Sequence[Hashable], true: Sequence[Hashable]) -> float:
    """Return the mean over labels of F1 = 2 right / (said + true); of all labels that were said or are true."""
    _check(said, true)
    n_said, n_true = Counter(said), Counter(true)
    right = Counter(a for a, b in zip(said, true, strict=True) if a == b)
    labels = n_said.keys() | n_true.keys()
    return sum(2 * right[label] / (n_said[label] + n_true[label]) for label in sorted(labels, key=repr)) / len(labels)


def majority(true: Sequence[Hashable]) -> float:
    """Return the share of the most frequent label: the accuracy of always saying it."""
    _check(true, true)
    return Counter(true).most_common(1)[0][1] / len(true)


def _check(said: Sequence[Hashable], true: Sequence[Hashable]) -> None:
    if len(said) != len(true) or not true:
        raise DataError(f"{len(said):,} labels were given, {len(true):,} are true: equally many are compared.")
