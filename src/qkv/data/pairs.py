"""A source string, its translation, and which characters of the two mean the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Span = tuple[int, int]
"""Characters `text[start:end]`."""


class Link(NamedTuple):
    """One stretch of the source and the stretch of the target that means the same."""

    source: Span
    target: Span


@dataclass(frozen=True, slots=True)
class Pair:
    """A source string and its translation; `links` is the gold alignment, or None where nobody knows it."""

    source: str
    target: str
    links: tuple[Link, ...] | None = None


def token_links(
    links: Iterable[Link], source_spans: Sequence[Span], target_spans: Sequence[Span]
) -> set[tuple[int, int]]:
    """Turn a gold alignment of characters into one of tokens: pairs (source token, target token).

    A token belongs to a stretch when they share a character. Where a link covers equally many tokens on both
    sides they are linked one to one, in order; otherwise each is linked with each.
    """
    pairs: set[tuple[int, int]] = set()
    for link in links:
        source = _touching(link.source, source_spans)
        target = _touching(link.target, target_spans)
        if len(source) == len(target):
            pairs.update(zip(source, target, strict=True))
        else:
            pairs.update((s, t) for s in source for t in target)
    return pairs


def _touching(span: Span, tokens: Sequence[Span]) -> list[int]:
    return [i for i, token in enumerate(tokens) if max(token[0], span[0]) < min(token[1], span[1])]
