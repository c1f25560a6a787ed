"""Folders of pictures that people bring: a folder for each class, sorted once, checked before anything is trained.

| layout | meaning |
|--|--|
| DIR/train/CLASS/*, DIR/validation/CLASS/*, DIR/test/CLASS/* | as it says; also "training", "valid", "val" |
| DIR/CLASS/* | split by a hash of each file: 70 % train, 15 % validation, 15 % test |

Without a folder for validation, 15 % of the training pictures are held out, by their hash. Every file in a class, at
any depth, must be a picture, whatever its name; what is hidden is passed over. Links are followed, each folder once.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from qkv.base.errors import DataError, nearest
from qkv.data.pictures import Picture, PictureData, check_splits, hash_content, split_of, split_pictures
from qkv.data.rows import OnBad, Reading, count, parse_rows
from qkv.image.decode import SUFFIXES, read_size

_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
_UNSPLIT = ""
_HIDDEN = ("thumbs.db", "desktop.ini")
_SHOWN = 8


class _File(NamedTuple):
    """A file, the split it lies in, and its class; None for one that lies beside the classes."""

    split: str
    path: Path
    label: str | None


def read_folder(folder: str | Path, *, on_bad: OnBad = "raise") -> PictureData:
    """Read a folder of pictures; its layouts are in this module's table.

    Every file's header is read: those that are no pictures raise one DataError that lists them, or with
    `on_bad="skip"` are left out and told. Classes that one split has and another lacks raise DataError that names them.
    """
    folder = Path(folder)
    places = _places(folder)
    labels = _labels(folder, places)
    files = [file for split, place in places.items() for file in _files(split, place)]
    if not files:
        raise DataError(f"{folder} has {count(len(labels), 'class folder')}, and no pictures in any of them.")
    rows = parse_rows(
        str(folder), enumerate(files, 1), lambda file: (file.split, _read(file, labels)), on_bad, unit="file"
    )
    pictures = [picture for _, picture in rows.values]
    notes = tuple(_oddities(pictures, labels))
    reading = Reading(name=str(folder), rows=len(files), dropped=rows.dropped, notes=notes)
    if _UNSPLIT in places:
        return split_pictures(str(folder), labels, pictures, reading=reading)
    parts = {split: [one for where, one in rows.values if where == split] for split in ("train", "validation", "test")}
    if "validation" not in places:
        parts["validation"] = [one for one in parts["train"] if split_of(one.content) == "validation"]
        parts["train"] = [one for one in parts["train"] if split_of(one.content) != "validation"]
    data = PictureData(name=str(folder), labels=labels, **parts, reading=reading)
    check_splits(data, needed={"train", "validation"} | places.keys())
    return data


def _places(folder: Path) -> dict[str, Path]:
    """Return the folders whose folders are classes, by split; a folder without splits is itself one."""
    if not folder.is_dir():
        beside = [one.name for one in folder.parent.iterdir()] if folder.parent.is_dir() else []
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}; give a folder with a folder for each class.{nearest(folder.name, beside)}")
    inside = [entry for entry in _visible(folder) if entry.is_dir()]
    laid_out = all(entry.name.lower() in _SPLITS for entry in inside)
    if not (laid_out and any(child.is_dir() for entry in inside for child in _visible(entry))):
        return {_UNSPLIT: folder}
    places: dict[str, Path] = {}
    for entry in inside:
        split = _SPLITS[entry.name.lower()]
        if split in places:
            raise DataError(f"{folder} has two folders for {split}: {places[split].name} and {entry.name}. Join them.")
        places[split] = entry
    if "train" not in places:
        raise DataError(f"{folder} has {', '.join(entry.name for entry in inside)}, but no folder train.")
    return places


def _labels(folder: Path, places: Mapping[str, Path]) -> tuple[str, ...]:
    """Return the names of the classes, sorted, the same in all splits."""
    classes = {split: {entry.name for entry in _visible(place) if entry.is_dir()} for split, place in places.items()}
    everywhere = set.union(*classes.values())
    if not everywhere:
        raise DataError(f"{folder} has no folders: give one for each class, with its pictures inside.")
    lacks = [
        f"{places[split].name} lacks {_some(everywhere - names)}"
        for split, names in classes.items()
        if names != everywhere
    ]
    if lacks:
        raise DataError(f"{folder} has not the same classes in all splits: {'; '.join(lacks)}. Are names misspelt?")
    return tuple(sorted(everywhere))


def _files(split: str, place: Path) -> Iterator[_File]:
    """List the files of all classes; of what lies beside them, those that call themselves pictures."""
    for entry in _visible(place):
        if entry.is_dir():
            yield from (_File(split, path, entry.name) for path in _walk(entry, {place.resolve()}))
        elif entry.suffix.lower() in SUFFIXES:
            yield _File(split, entry, None)


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    """List the files in a folder and all below; links are followed, but no folder is entered twice."""
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    for entry in _visible(folder):
        if entry.is_dir():
            yield from _walk(entry, seen)
        else:
            yield entry


def _visible(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error
    return [entry for entry in entries if not entry.name.startswith(".") and entry.name.lower() not in _HIDDEN]


def _read(file: _File, labels: Sequence[str]) -> Picture:
    if file.label is None:
        raise DataError(f"{file.path} lies in no class folder.")
    size = read_size(file.path)
    with file.path.open("rb") as data:
        content = hash_content(data.read())
    return Picture(file.path, labels.index(file.label), size, content)


def _oddities(pictures: Sequence[Picture], labels: Sequence[str]) -> Iterator[str]:
    given: dict[str, int] = {}
    torn = [one for one in pictures if given.setdefault(one.content, one.label) != one.label]
    if torn:
        told = count(len(torn), "picture")
        yield f"{told} with another label than the same one elsewhere; the first is {torn[0].image}"
    if len({label.casefold() for label in labels}) < len(labels):
        yield f"classes that differ only in case: {_some(labels)}"


def _some(names: Sequence[str] | set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")
