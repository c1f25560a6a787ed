"""Pictures with labels: what an example is, how a set is split for good, and what training reads of it."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from qkv.base.errors import ConfigError, DataError
from qkv.base.seeds import mix
from qkv.data.rows import Reading
from qkv.image.preprocessing import Preprocessing, prepare

N_FOLDS = 5


class Picture(NamedTuple):
    """A picture, in memory (c, y, x) from 0 to 1 or in a file, and the id of its label.

    size: rows and columns, as stored. content: a hash of its pixels, or of its file: equal pictures have the same.
    """

    image: Tensor | Path
    label: int
    size: tuple[int, int]
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureData:
    """Pictures to learn from, to watch while training, and to score at the end.

    labels: sorted once; the place of each is its id. reading: what reading a folder was like.
    """

    name: str
    labels: tuple[str, ...]
    train: list[Picture]
    validation: list[Picture]
    test: list[Picture]
    reading: Reading | None = None

    @property
    def splits(self) -> dict[str, list[Picture]]:
        """Return the three parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class Prepared(Sequence[tuple[Float[Tensor, "c y x"], int]]):
    """Pictures as a net reads them, each with its label's id; files are decoded when they are asked for."""

    def __init__(self, pictures: Sequence[Picture], preprocessing: Preprocessing) -> None:
        self.pictures, self.preprocessing = pictures, preprocessing

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "c y x"], int]:  # type: ignore[override]
        picture = self.pictures[index]
        return prepare(picture.image, self.preprocessing), picture.label


def hash_content(data: bytes) -> str:
    """Return the hash by which equal pictures are known, the same on every machine."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def split_of(content: str) -> str:
    """Return the split of a picture by its content's hash: 70 % train, 15 % validation, 15 % test."""
    place = mix("pictures", content) % 20
    return "test" if place < 3 else "validation" if place < 6 else "train"


def fold_of(content: str) -> int:
    """Return which of five folds a picture is in, by its content's hash."""
    return mix("fold", content) % N_FOLDS


def split_pictures(
    name: str,
    labels: Sequence[str],
    pictures: Sequence[Picture],
    *,
    fold: int | None = None,
    reading: Reading | None = None,
) -> PictureData:
    """Split pictures for good, by their content: equal ones are in one split, whoever asks and whenever.

    fold: from 0 to 4, the fold to test on; the one after it is for validation, and the other three are trained on.
    Raises DataError when a label has nothing to train on, or a split is empty.
    """
    if fold is not None and not 0 <= fold < N_FOLDS:
        raise ConfigError(f"fold is {fold}; there are {N_FOLDS}, from 0 to {N_FOLDS - 1}.")
    parts: dict[str, list[Picture]] = {"train": [], "validation": [], "test": []}
    for picture in pictures:
        if fold is None:
            part = split_of(picture.content)
        else:
            after = (fold_of(picture.content) - fold) % N_FOLDS
            part = {0: "test", 1: "validation"}.get(after, "train")
        parts[part].append(picture)
    data = PictureData(name=name, labels=tuple(labels), **parts, reading=reading)
    check_splits(data, needed=("train", "validation", "test"))
    return data


def check_splits(data: PictureData, *, needed: Collection[str]) -> None:
    """Raise DataError unless there are two labels, each with something to train on, and no needed split is empty."""
    if len(data.labels) < 2:
        raise DataError(f"{data.name} has one label, {''.join(data.labels)}: there is nothing to tell apart.")
    empty = [split for split in sorted(needed) if not data.splits[split]]
    trained = {picture.label for picture in data.train}
    missing = [label for i, label in enumerate(data.labels) if i not in trained]
    if empty or missing:
        what = f"nothing for {' and '.join(empty)}" if empty else f"no picture of {', '.join(missing[:5])} to train on"
        raise DataError(
            f"{data.name} leaves {what}: give more pictures, or say yourself which is which, in the folders train, "
            "validation and test."
        )
