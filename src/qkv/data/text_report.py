"""What a training on texts is about to read: documents, or texts with labels."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from qkv.base.errors import DataError
from qkv.data.labelled import Labelled, sort_labels, tell_labels
from qkv.data.report import Lengths, lengths_of, show_pieces
from qkv.data.rows import Reading, count
from qkv.data.sampler import Sampler

Cut = Callable[[str], Sequence[tuple[int, int]]]
_SHOWN = 40


class Shared(NamedTuple):
    """How many texts of another split stand in this data too."""

    split: str
    n_texts: int
    same: int


class Shown(NamedTuple):
    """The beginning of a text as the model sees it, in pieces, and its label."""

    pieces: tuple[str, ...]
    label: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TextReport:
    """The state of texts. Lengths are in `unit`: "tokens", special ones not counted, or "words".

    repeated: texts equal to an earlier one. padding: the share of a batch's places that hold nothing. labels: how often
    each stands there; majority: the accuracy of always giving the most frequent one. too_long: texts longer than
    `limit`.
    """

    name: str
    rows: int
    used: int
    dropped: int
    repeated: int
    characters: int
    unit: str
    total: int
    lengths: Lengths
    limit: int | None
    too_long: int
    padding: float | None
    labels: dict[str, int]
    majority: float | None
    overlaps: tuple[Shared, ...]
    examples: tuple[Shown, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return dataclasses.asdict(self)

    def __rich__(self) -> Group:
        """Return the report as tables for a terminal; what stands in the data is shown as text, never as markup."""
        facts = Table("rows read", "used", "dropped", "repeated", "characters", title=Text(self.name))
        facts.title_justify = "left"
        facts.add_row(*(f"{n:,}" for n in (self.rows, self.used, self.dropped, self.repeated, self.characters)))
        lengths = Table(f"{self.unit} in all", "50 %", "90 %", "99 %", "longest", "padding")
        padding = "-" if self.padding is None else f"{self.padding:.1%}"
        lengths.add_row(*(f"{n:,}" for n in (self.total, *dataclasses.astuple(self.lengths))), padding)
        tables = [facts, lengths]
        if self.labels:
            tables.append(Table("label", "texts", "share"))
            for label, n in self.labels.items():
                tables[-1].add_row(Text(label), f"{n:,}", f"{n / self.used:.1%}")
            tables[-1].caption = f"always the most frequent: {self.majority:.1%} right"
        if self.overlaps:
            tables.append(Table("also in", "its texts", "same"))
            for overlap in self.overlaps:
                tables[-1].add_row(Text(overlap.split), f"{overlap.n_texts:,}", f"{overlap.same:,}")
        examples = Table(f"texts, in {self.unit}", *(["label"] if self.labels else []), show_lines=True)
        for example in self.examples:
            examples.add_row(show_pieces(example.pieces), *([Text(example.label or "")] if self.labels else []))
        return Group(*tables, examples, *(Text(f"! {warning}", style="yellow") for warning in self.warnings))


def check_texts(
    name: str,
    texts: Sequence[str] | Sequence[Labelled],
    reading: Reading | None = None,
    *,
    cut: Cut | None = None,
    limit: int | None = None,
    samples: Sequence[int] | None = None,
    budget: int = 4096,
    splits: Mapping[str, Sequence[str] | Sequence[Labelled]] | None = None,
) -> TextReport:
    """Look through documents, or texts with labels, before a training.

    cut: returns the span of each token of a text; without it lengths are in words. limit: the most tokens that the
    model takes, if texts are not cut to its size. samples: the lengths of what the texts become, and budget: of a
    batch, for the share of padding. splits: the other parts of the data by name.
    """
    if not texts:
        raise DataError(f"{name} holds no texts.")
    parts = [_parts(text) for text in texts]
    sizes = [sum(len(_pieces(part, cut)) for part in one) for one in parts]
    here = set(parts)
    overlaps = [Shared(split, len(other), sum(_parts(one) in here for one in other)) for split, other in _items(splits)]
    counts = Counter(text.label for text in texts if isinstance(text, Labelled))
    too_long = 0 if limit is None else sum(size > limit for size in sizes)
    report = TextReport(
        name=name,
        rows=reading.rows if reading else len(texts),
        used=len(texts),
        dropped=len(reading.dropped) if reading else 0,
        repeated=len(texts) - len(here),
        characters=sum(len(part) for one in parts for part in one),
        unit="tokens" if cut else "words",
        total=sum(sizes),
        lengths=lengths_of(sizes),
        limit=limit,
        too_long=too_long,
        padding=None if samples is None else padding_share(samples, budget),
        labels={label: counts[label] for label in sort_labels(counts)},
        majority=max(counts.values()) / len(texts) if counts else None,
        overlaps=tuple(overlaps),
        examples=tuple(_shown(texts[i], cut) for i in sorted({0, len(texts) // 2, len(texts) - 1})),
        warnings=(),
    )
    return dataclasses.replace(report, warnings=(*(reading.warnings if reading else ()), *_warnings(report)))


def padding_share(lengths: Sequence[int], budget: int) -> float:
    """Return the share of places that hold nothing when samples of these lengths are packed into batches."""
    order = Sampler(lengths, max(budget, *lengths)).order(0)
    return 1 - sum(lengths) / sum(len(batch) * max(lengths[i] for i in batch) for batch in order)


def _warnings(report: TextReport) -> Iterator[str]:
    if told := tell_labels([*report.labels]):
        yield told
    if report.too_long:
        told = count(report.too_long, "text")
        yield f"{told} of more than {report.limit:,} {report.unit}, the most this model takes"
    for split, n_texts, same in report.overlaps:
        if same:
            told = f"{same:,} of {count(n_texts, 'text')} in {split}"
            yield f"{told} stand in this data too: figures there will flatter"


def _items(splits: Mapping[str, Any] | None) -> Iterable[tuple[str, Any]]:
    return splits.items() if splits else ()


def _parts(text: str | Labelled) -> tuple[str, ...]:
    if isinstance(text, str):
        return (text,)
    return (text.text,) if text.pair is None else (text.text, text.pair)


def _pieces(text: str, cut: Cut | None) -> list[str]:
    return text.split() if cut is None else [text[start:end] for start, end in cut(text)]


def _shown(text: str | Labelled, cut: Cut | None) -> Shown:
    pieces = [piece for part in _parts(text) for piece in _pieces(part, cut)]
    more = ["…"] if len(pieces) > _SHOWN else []
    return Shown((*pieces[:_SHOWN], *more), None if isinstance(text, str) else text.label)
