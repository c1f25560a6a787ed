"""What a training on pictures is about to read: counts, labels, sizes, repeats, overlap between splits, examples."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Group
from rich.table import Table
from rich.text import Text

from qkv.data.pictures import Picture, PictureData
from qkv.data.report import Lengths, lengths_of
from qkv.data.rows import count

_MOST_LABELS = 20


class SharedPictures(NamedTuple):
    """How many pictures of one split stand in another, earlier one too."""

    split: str
    n_pictures: int
    same: int
    other: str


class ShownPicture(NamedTuple):
    """A picture's place, its rows and columns, and its label."""

    name: str
    rows: int
    columns: int
    label: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureReport:
    """The state of a set of pictures.

    splits: pictures in each. repeated: pictures equal to an earlier one. labels: how often each is there. majority: the
    accuracy, on validation, of always giving the label that is most frequent in training.
    """

    name: str
    rows: int
    used: int
    dropped: int
    repeated: int
    splits: dict[str, int]
    labels: dict[str, int]
    majority: float
    height: Lengths
    width: Lengths
    overlaps: tuple[SharedPictures, ...]
    examples: tuple[ShownPicture, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return dataclasses.asdict(self)

    def __rich__(self) -> Group:
        """Return the report as tables for a terminal; what stands in the data is shown as text, never as markup."""
        facts = Table("rows read", "used", "dropped", "repeated", *self.splits, title=Text(self.name))
        facts.title_justify = "left"
        counts = (self.rows, self.used, self.dropped, self.repeated, *self.splits.values())
        facts.add_row(*(f"{n:,}" for n in counts))
        sizes = Table("pixels", "50 %", "90 %", "99 %", "most")
        for side in ("height", "width"):
            sizes.add_row(side, *(f"{n:,}" for n in dataclasses.astuple(getattr(self, side))))
        labels = Table("label", "pictures", "share")
        for label, n in Counter(self.labels).most_common(_MOST_LABELS):
            labels.add_row(Text(label), f"{n:,}", f"{n / self.used:.1%}")
        more = f"and {len(self.labels) - _MOST_LABELS:,} more; " if len(self.labels) > _MOST_LABELS else ""
        labels.caption = f"{more}always the most frequent: {self.majority:.1%} right"
        examples = Table("picture", "size", "label")
        for example in self.examples:
            examples.add_row(Text(example.name), f"{example.columns} x {example.rows}", Text(example.label))
        told = [Text(f"! {warning}", style="yellow") for warning in self.warnings]
        return Group(facts, sizes, labels, examples, *told)


def check_pictures(data: PictureData) -> PictureReport:
    """Look through a set of pictures before a training."""
    pictures = [picture for split in data.splits.values() for picture in split]
    counts = Counter(picture.label for picture in pictures)
    often = Counter(picture.label for picture in data.train).most_common(1)[0][0]
    overlaps = tuple(_overlaps(data))
    told = [*(data.reading.warnings if data.reading else ())]
    told += [
        f"{one.same:,} of {count(one.n_pictures, 'picture')} in {one.split} stand in {one.other} too: figures there "
        "will flatter"
        for one in overlaps
        if one.same
    ]
    return PictureReport(
        name=data.name,
        rows=data.reading.rows if data.reading else len(pictures),
        used=len(pictures),
        dropped=len(data.reading.dropped) if data.reading else 0,
        repeated=len(pictures) - len({picture.content for picture in pictures}),
        splits={split: len(found) for split, found in data.splits.items()},
        labels={label: counts[i] for i, label in enumerate(data.labels)},
        majority=sum(picture.label == often for picture in data.validation) / len(data.validation),
        height=lengths_of([picture.size[0] for picture in pictures]),
        width=lengths_of([picture.size[1] for picture in pictures]),
        overlaps=overlaps,
        examples=tuple(_shown(i, pictures[i], data) for i in sorted({0, len(pictures) // 2, len(pictures) - 1})),
        warnings=tuple(told),
    )


def _overlaps(data: PictureData) -> Iterator[SharedPictures]:
    """Compare each split with those before it."""
    known = {split: {picture.content for picture in found} for split, found in data.splits.items()}
    for split, other in (("validation", "train"), ("test", "train"), ("test", "validation")):
        found = data.splits[split]
        if found:
            yield SharedPictures(split, len(found), sum(one.content in known[other] for one in found), other)


def _shown(number: int, picture: Picture, data: PictureData) -> ShownPicture:
    name = picture.image.name if isinstance(picture.image, Path) else f"{data.name} {number + 1:,}"
    return ShownPicture(name, *picture.size, data.labels[picture.label])
