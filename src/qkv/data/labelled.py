"""Labelled text that people bring, as TSV: a text, or two, and a label in each row.

No quoting: a quote is a character. "NA" and "null" are texts like any other. The first line names the columns (text,
label; or text_a, text_b, label), or they are given: as names, "sentence,label", or where no line names them as numbers,
"4,2" (from 1). The label comes last.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from qkv.base.errors import ConfigError, DataError, nearest
from qkv.base.seeds import mix
from qkv.data.lines import decode_line, read_lines, show
from qkv.data.rows import OnBad, Reading, Rows, check_text, count, listed, parse_rows

_ONE_IN = 10
_SHOWN = 12
_STANDARD = (["text_a", "text_b", "label"], ["text", "label"])


class Labelled(NamedTuple):
    """A text, or a pair of texts, and its label."""

    text: str
    label: str
    pair: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSplits:
    """Rows to learn from and to judge by; labels: sorted, the place of each is its id."""

    train: list[Labelled]
    validation: list[Labelled]
    labels: tuple[str, ...]
    reading: Reading


def open_labelled(
    data: str, *, valid: str | None = None, columns: str | None = None, on_bad: OnBad = "raise"
) -> LabelledSplits:
    """Read a file, and the one to judge by; without it every tenth row, by a hash of its text, is held out."""
    rows, reading = read_labelled(data, columns=columns, on_bad=on_bad)
    labels = sort_labels(row.label for row in rows)
    if len(labels) < 2:
        raise DataError(f"{data} has one label, {_list(labels)}: there is nothing to tell apart.")
    if valid is not None:
        judged, _ = read_labelled(valid, columns=columns, labels=labels, on_bad=on_bad)
        return LabelledSplits(train=rows, validation=judged, labels=labels, reading=reading)
    train = [row for row in rows if not _is_held(row)]
    judged = [row for row in rows if _is_held(row)]
    missing = sorted(set(labels) - {row.label for row in train})
    if not judged or missing:
        raise DataError(
            f"{data} has {count(len(rows), 'row')}: too few to hold some out for validation; name another file with "
            "--valid."
        )
    return LabelledSplits(train=train, validation=judged, labels=labels, reading=reading)


def read_labelled(
    path: str | Path, *, columns: str | None = None, labels: Sequence[str] | None = None, on_bad: OnBad = "raise"
) -> tuple[list[Labelled], Reading]:
    """Read a TSV with labels; the form is in this module's first lines.

    labels: those that are known; others are refused. Rows with too few or too many columns, without a text or without a
    label raise one DataError with their lines, or with `on_bad="skip"` are left out.
    """
    lines = read_lines(Path(path))
    headless = columns is not None and _numbers(columns) is not None
    places, width = _places(str(path), lines[0], columns)

    def parse(line: bytes) -> Labelled:
        cells = decode_line(line).split("\t")
        if len(cells) != width:
            raise DataError(f"{count(len(cells), 'column')} instead of {width}: {show(decode_line(line))}")
        *texts, label = (cells[place] for place in places)
        for text in texts:
            check_text("the text", text)
        if not label.strip():
            raise DataError(f"no label: {show(texts[0])}")
        if labels is not None and label not in labels:
            raise DataError(f"label {show(label)} is none of {_list(labels)}")
        return Labelled(texts[0], label, texts[1] if len(texts) == 2 else None)

    begin = 0 if headless else 1
    rows = parse_rows(str(path), enumerate(lines[begin:], begin + 1), parse, on_bad)
    if not rows.values:
        raise DataError(f"{path} has a line that names the columns, and no rows.")
    notes = tuple(_oddities(rows, headless=headless))
    n_rows = len(rows.values) + len(rows.dropped)
    return rows.values, Reading(name=str(path), rows=n_rows, dropped=rows.dropped, notes=notes)


def sort_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels in order: numbers by value, all others as text."""
    different = set(labels)
    numeric = all(label.removeprefix("-").isdecimal() and label.isascii() for label in different)
    return tuple(sorted(different, key=(lambda label: (int(label), label)) if numeric else None))


def tell_labels(labels: Sequence[str]) -> str:
    """Return the sentence that says what ids labels have; nothing where they are the ids themselves."""
    ids = [str(i) for i in range(len(labels))]
    return "" if list(labels) == ids else f"labels are {{{_list(labels)}}}; mapped to {_list(ids)} and saved"


def _is_held(row: Labelled) -> bool:
    return mix("validation", row.text, row.pair or "") % _ONE_IN == 0


def _places(path: str, line: bytes, columns: str | None) -> tuple[list[int], int]:
    """Return where texts and label stand, and how many columns a row has."""
    try:
        cells = decode_line(line).split("\t")
    except DataError as error:
        raise DataError(f"{path}, line 1: {error}.") from error
    if columns is None:
        for names in _STANDARD:
            if set(names) <= set(cells):
                return [_find(path, name, cells) for name in names], len(cells)
        lacks = "label" if "label" not in cells else "text, nor text_a and text_b"
        raise DataError(
            f"{path}, line 1, names no column {lacks}: {show(decode_line(line))}. Say which columns to read, the label "
            "last: by their names (--columns sentence,label) or where no line names them by number (--columns 4,2)."
        )
    wanted = [name.strip() for name in columns.split(",")]
    if len(wanted) not in (2, 3) or len(set(wanted)) < len(wanted):
        raise ConfigError(f'columns is "{columns}"; give two or three that differ, the label last: text,label.')
    numbers = _numbers(columns)
    if numbers is None:
        return [_find(path, name, cells) for name in wanted], len(cells)
    if not 1 <= min(numbers) <= max(numbers) <= len(cells):
        raise DataError(f"{path} has {count(len(cells), 'column')}; --columns {columns} asks for others.")
    return [number - 1 for number in numbers], len(cells)


def _find(path: str, name: str, cells: Sequence[str]) -> int:
    if name not in cells:
        raise DataError(f'{path} has no column "{name}": it has {", ".join(cells)}.{nearest(name, cells)}')
    if cells.count(name) > 1:
        raise DataError(f'{path} has more than one column "{name}": say which by numbers, without the first line.')
    return cells.index(name)


def _numbers(columns: str) -> list[int] | None:
    parts = [part.strip() for part in columns.split(",")]
    return [int(part) for part in parts] if all(part.isdecimal() and part.isascii() for part in parts) else None


def _oddities(rows: Rows[Labelled], *, headless: bool) -> list[str]:
    counts = Counter(row.label for row in rows.values)
    notes = []
    if headless and rows.lines[0] == 1 and counts[rows.values[0].label] == 1 and len(rows.values) > 2:
        notes.append(f"label {show(rows.values[0].label)} stands in line 1 alone: does that line name the columns?")
    if len(counts) > max(20, len(rows.values) // 2):
        notes.append(f"{len(counts):,} labels in {count(len(rows.values), 'row')}: is this the label's column?")
    alike = Counter(label.strip().casefold() for label in counts)
    if len(alike) < len(counts):
        notes.append(
            f"labels that differ only in case or white space: {show(max(alike, key=lambda name: alike[name]))}"
        )
    seen: dict[tuple[str, str | None], str] = {}
    torn = [
        line
        for line, row in zip(rows.lines, rows.values, strict=True)
        if seen.setdefault((row.text, row.pair), row.label) != row.label
    ]
    if torn:
        notes.append(f"{count(len(torn), 'text')} with another label than further up {listed(torn)}")
    return notes


def _list(labels: Sequence[str]) -> str:
    return ", ".join(labels[:_SHOWN]) + (", …" if len(labels) > _SHOWN else "")
