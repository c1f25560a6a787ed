"""What a training is about to read: counts, lengths, repeats, overlap with other splits, and three examples."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from qkv.base.errors import DataError
from qkv.data.pairs import Pair
from qkv.data.parallel import Report
from qkv.text.tokenizer import SPECIAL, UNK, Tokenizer

_MANY_UNKNOWN = 0.001


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts, or one side of pairs, are: half, 90 and 99 of a hundred are at most so long; and the longest."""

    p50: int
    p90: int
    p99: int
    longest: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many pairs of another split stand in this data too, and of how many at least the source does."""

    split: str
    n_pairs: int
    same_pair: int
    same_source: int


@dataclass(frozen=True, slots=True)
class Example:
    """One pair as the model sees it: the tokens of both sides; what the tokenizer does not know is "<unk>"."""

    source: tuple[str, ...]
    target: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckReport:
    """The state of a data set. Lengths are in `unit`: "tokens", special ones not counted, or "words".

    repeated: pairs equal to an earlier one. too_long: pairs of which a side is longer than `limit`.
    """

    name: str
    rows: int
    used: int
    dropped: int
    repeated: int
    unit: str
    source: Lengths
    target: Lengths
    limit: int | None
    too_long: int
    overlaps: tuple[Overlap, ...]
    examples: tuple[Example, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return dataclasses.asdict(self)


def check_pairs(
    name: str,
    pairs: Sequence[Pair],
    reading: Report | None = None,
    *,
    tokenizers: tuple[Tokenizer, Tokenizer] | None = None,
    limit: int | None = None,
    splits: Mapping[str, Sequence[Pair]] | None = None,
) -> CheckReport:
    """Look through pairs before a training.

    reading: what `read_pairs` found, if they are from a file. tokenizers: of source and target; without them lengths
    are in words. limit: the longest side that the model takes, in that unit. splits: the other parts of the data by
    name, which should have no source in common with `pairs`.
    """
    if not pairs:
        raise DataError(f"{name} holds no pairs.")
    of_source, of_target = tokenizers or (None, None)
    n_source, unknown_source = _measure([pair.source for pair in pairs], of_source)
    n_target, unknown_target = _measure([pair.target for pair in pairs], of_target)
    too_long = 0 if limit is None else int((np.maximum(n_source, n_target) > limit).sum())
    unit = "tokens" if tokenizers else "words"
    overlaps = tuple(_overlap(pairs, split, other) for split, other in (splits or {}).items())
    warnings = list(reading.warnings) if reading else []
    if too_long:
        warnings.append(f"{too_long:,} pairs have a side of more than {limit:,} {unit}, the most this model takes")
    for side, share in (("source", unknown_source), ("target", unknown_target)):
        if share > _MANY_UNKNOWN:
            warnings.append(f"{share:.1%} of the {side} tokens are unknown to the tokenizer")
    warnings += [
        f"{o.same_source:,} of {o.n_pairs:,} sources in {o.split} stand in this data too: figures there will flatter"
        for o in overlaps
        if o.same_source
    ]
    shown = [pairs[i] for i in sorted({0, len(pairs) // 2, len(pairs) - 1})]
    return CheckReport(
        name=name,
        rows=reading.rows if reading else len(pairs),
        used=len(pairs),
        dropped=len(reading.dropped) if reading else 0,
        repeated=len(pairs) - len({(pair.source, pair.target) for pair in pairs}),
        unit=unit,
        source=lengths_of(n_source),
        target=lengths_of(n_target),
        limit=limit,
        too_long=too_long,
        overlaps=overlaps,
        examples=tuple(Example(_pieces(p.source, of_source), _pieces(p.target, of_target)) for p in shown),
        warnings=tuple(warnings),
    )


def screen(report: CheckReport) -> Group:
    """Return the report as tables for a terminal; whatever stands in the data is shown as text, never as markup."""
    facts = Table("rows read", "used", "dropped", "repeated", title=Text(report.name), title_justify="left")
    facts.add_row(*(f"{n:,}" for n in (report.rows, report.used, report.dropped, report.repeated)))
    lengths = Table(f"length in {report.unit}", "50 %", "90 %", "99 %", "longest")
    if report.limit is not None:
        lengths.caption = f"the model takes {report.limit:,}; {report.too_long:,} pairs are longer"
    for side in ("source", "target"):
        lengths.add_row(side, *(f"{n:,}" for n in dataclasses.astuple(getattr(report, side))))
    tables = [facts, lengths]
    if report.overlaps:
        tables.append(Table("also in", "its pairs", "same pair", "same source"))
        for overlap in report.overlaps:
            counts = (overlap.n_pairs, overlap.same_pair, overlap.same_source)
            tables[-1].add_row(Text(overlap.split), *(f"{n:,}" for n in counts))
    examples = Table(f"source, in {report.unit}", f"target, in {report.unit}", show_lines=True)
    for example in report.examples:
        examples.add_row(show_pieces(example.source), show_pieces(example.target))
    return Group(*tables, examples, *(Text(f"! {warning}", style="yellow") for warning in report.warnings))


def _pieces(text: str, tokenizer: Tokenizer | None) -> tuple[str, ...]:
    if tokenizer is None:
        return tuple(text.split())
    encoded = tokenizer.encode(text)
    return tuple(
        SPECIAL[UNK] if i == UNK else text[start:end]
        for i, (start, end) in zip(encoded.ids, encoded.spans, strict=True)
    )


def _measure(texts: Sequence[str], tokenizer: Tokenizer | None) -> tuple[np.ndarray, float]:
    """Return the length of each text, and the share of unknown tokens in all of them."""
    if tokenizer is None:
        return np.array([len(text.split()) for text in texts]), 0.0
    ids = [tokenizer.encode(text).ids for text in texts]
    counts = np.array([len(row) for row in ids])
    return counts, sum(row.count(UNK) for row in ids) / int(counts.sum())


def lengths_of(counts: Sequence[int] | np.ndarray) -> Lengths:
    """Return how long half, 90 and 99 of a hundred are at most, and the longest."""
    return Lengths(*(int(n) for n in np.percentile(counts, (50, 90, 99, 100), method="inverted_cdf")))


def _overlap(pairs: Sequence[Pair], split: str, other: Sequence[Pair]) -> Overlap:
    here = {(pair.source, pair.target) for pair in pairs}
    sources = {pair.source for pair in pairs}
    same = sum((pair.source, pair.target) in here for pair in other)
    return Overlap(split, len(other), same, sum(pair.source in sources for pair in other))


def show_pieces(pieces: Sequence[str]) -> Text:
    """Return tokens side by side, parted by strokes, with invisible characters spelled out."""
    seen = ["␣" if piece in ("", " ") else repr(piece)[1:-1] for piece in pieces]
    return Text(" | ", style="dim").join(Text(piece) for piece in seen)
