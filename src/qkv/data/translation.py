"""Where pairs come from, by one name: a file of the user's, or a built-in set of CLDR."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from qkv.base.errors import ConfigError, DataError
from qkv.base.seeds import mix
from qkv.data.cldr import load_cldr
from qkv.data.pairs import Pair
from qkv.data.parallel import Report, read_pairs

N_HELD_OUT = 500


@dataclass(frozen=True, slots=True)
class Splits:
    """Pairs to train on, to watch while training, and (of built-in sets) to score at the end.

    reading: what a file of the user's was like.
    """

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    reading: Report | None = None


def parse_items(text: str) -> tuple[int, int]:
    """Read "1-3" as (1, 3), and "2" as (2, 2)."""
    found = re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", text)
    if not found:
        raise ConfigError(f'items is "{text}"; write it as 1-3 or as 2.')
    low, high = found.groups()
    return int(low), int(high or low)


def open_splits(
    data: str,
    *,
    source: str,
    target: str,
    items: str = "1-1",
    n_examples: int = 20_000,
    valid: str | None = None,
    on_bad: Literal["raise", "skip"] = "raise",
) -> Splits:
    """Return the splits of "cldr:NAME" in two locales, or of a parallel file.

    A file has no test split; unless `valid` names another file, every twentieth of its pairs (at most N_HELD_OUT),
    chosen by a hash of the source, is held out to watch the training with.
    """
    if data.startswith("cldr:"):
        draw = partial(cldr_pairs, data, source=source, target=target, items=items)
        return Splits(
            draw(split="train", n=n_examples),
            draw(split="validation", n=N_HELD_OUT),
            draw(split="test", n=N_HELD_OUT),
        )
    pairs, reading = read_pairs(data, on_bad=on_bad)
    if valid is not None:
        return Splits(pairs, read_pairs(valid, on_bad=on_bad)[0], [], reading)
    held = _held_out(pairs)
    train = [pair for pair in pairs if pair.source not in held]
    if not train or not held:
        raise DataError(
            f"{data} has {len(pairs)} pairs: too few to hold some out for validation; name another file with --valid."
        )
    return Splits(train, [pair for pair in pairs if pair.source in held], [], reading)


def cldr_pairs(data: str, *, source: str, target: str, items: str, split: str, n: int) -> list[Pair]:
    """Return one split of a built-in set: `n` pairs of lists, or all single items if there are fewer than `n`."""
    load = partial(load_cldr, data, source, target, items=parse_items(items), split=split)
    try:
        return load(n=n)
    except DataError:
        if parse_items(items) != (1, 1):
            raise
        return load()  # there are fewer than n


def _held_out(pairs: Sequence[Pair]) -> set[str]:
    sources = sorted({pair.source for pair in pairs}, key=lambda text: mix("validation", text))
    return set(sources[: min(N_HELD_OUT, len(sources) // 20)])
