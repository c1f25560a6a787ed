"""Parallel strings that are on every machine: dates, numbers and names from CLDR, written by Babel (extra `[demo]`).

CLDR is the Unicode Common Locale Data Repository (https://cldr.unicode.org).
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any, Protocol, runtime_checkable

from qkv.base.errors import ConfigError, DataError, UnsupportedError, nearest
from qkv.base.seeds import draw, mix
from qkv.data.pairs import Pair

SPLITS = ("train", "validation", "test")


@runtime_checkable
class CldrSet(Protocol):
    """What a CLDR data set offers: its single items, and each of them written in both locales."""

    def items(self) -> Iterable[tuple[str, Any]]:
        """Yield (content, item). The content says in no language what the item says; one content is in one split."""
        ...

    def pair(self, item: Any, /) -> Pair | None:
        """Write an item in both locales; None where the two cannot be aligned with certainty."""
        ...


@cache
def split_of(content: str) -> str:
    """Return the split of an item, by a hash of its content: 90 % train, 5 % validation, 5 % test."""
    return {0: "test", 1: "validation"}.get(mix("cldr", content) % 20, "train")


def load_cldr(
    name: str,
    source: str,
    target: str,
    *,
    items: tuple[int, int] = (1, 1),
    n: int | None = None,
    split: str = "train",
    seed: int = 0,
) -> list[Pair]:
    """Return `n` different pairs of "cldr:dates", "cldr:numbers" or "cldr:names" in two locales.

    With `items=(1, 3)` each is a list of one to three items, the number drawn evenly, written as the locale writes
    lists ("A, B, and C"); a pair that is already there is drawn again. With `items=(1, 1)` and `n=None` every item
    of the split is returned, in an order drawn by `seed`. Only items of one split are joined, so no item of the test
    split is in a training string. The same arguments give the same pairs; a larger `n` adds pairs at the end.

    DataError on an unknown data set or locale and when there are fewer than `n` different pairs, ConfigError on a
    setting out of range, UnsupportedError without Babel.
    """
    _check(items, n, split)
    name = name.removeprefix("cldr:")
    data, join = _open(name, source, target)
    pool = [item for content, item in data.items() if split_of(content) == split]
    groups = _draw_groups(pool, items, n, draw("cldr", name, *items, split, seed))
    pairs: dict[tuple[str, str], Pair] = {}
    for group in groups:
        parts = [part for item in group if (part := data.pair(item)) is not None]
        if len(parts) == len(group):
            pair = join(parts)
            pairs.setdefault((pair.source, pair.target), pair)
        if len(pairs) == n:
            break
    if len(pairs) < (n or 1):
        raise DataError(
            f"cldr:{name} from {source} to {target} has {len(pairs)} different strings of {items[0]}-{items[1]} items "
            f"in its {split} split, not {n or 1}; ask for fewer or for longer lists."
        )
    return list(pairs.values())


def _check(items: tuple[int, int], n: int | None, split: str) -> None:
    low, high = items
    if not 1 <= low <= high:
        raise ConfigError(f"items is {low}-{high}; give two numbers from 1 upwards, the smaller one first, as in 1-3.")
    if split not in SPLITS:
        raise ConfigError(f'There is no split "{split}".{nearest(split, SPLITS)} Splits: {", ".join(SPLITS)}.')
    if n is None and high > 1:
        raise ConfigError(f"Lists of {low}-{high} items have no natural number: say with n how many you want.")
    if n is not None and n < 1:
        raise ConfigError(f"n is {n}; ask for at least one string.")


def _open(name: str, source: str, target: str) -> tuple[CldrSet, Callable[[Sequence[Pair]], Pair]]:
    """Return the data set, and the function that joins its pairs to a pair of lists."""
    try:  # Babel belongs to an extra: only those who ask for this data need it
        from qkv.data.cldr_dates import Dates
        from qkv.data.cldr_names import Names
        from qkv.data.cldr_numbers import Numbers
        from qkv.data.cldr_phrases import Joiner, find_locale, join_pairs
    except ModuleNotFoundError as error:
        if error.name != "babel":
            raise
        raise UnsupportedError('The built-in cldr: data needs Babel: pip install "qkv[demo]"') from error
    sets: dict[str, Callable[..., CldrSet]] = {"dates": Dates, "numbers": Numbers, "names": Names}
    if name not in sets:
        known = [f"cldr:{known}" for known in sets]
        hint = nearest(f"cldr:{name}", known)
        raise DataError(f'There is no built-in data set "cldr:{name}".{hint} Known: {", ".join(known)}.')
    locales = find_locale(source), find_locale(target)
    return sets[name](*locales), partial(join_pairs, source=Joiner(locales[0]), target=Joiner(locales[1]))


def _draw_groups(
    pool: Sequence[Any], items: tuple[int, int], n: int | None, rng: random.Random
) -> Iterator[Sequence[Any]]:
    """Yield every single item once, or lists of items: more than wanted, as some come twice or cannot be aligned."""
    low, high = items
    if high == 1:
        yield from ((item,) for item in rng.sample(pool, len(pool)))
    elif len(pool) >= high:
        for _ in range(1000 + 20 * (n or 0)):
            yield rng.sample(pool, rng.randint(low, high))
