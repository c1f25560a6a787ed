"""Parallel text that people bring: strings and their translations, read strictly and written back.

| path | form |
|--|--|
| names.tsv | a line is source, TAB, target; quotes, "NA" and "null" are text like any other |
| names.jsonl | a line is {"source": "...", "target": "...", "links": [[[0, 5], [3, 7]], ...]}, links optional |
| names.src | line i of names.src translates to line i of names.tgt |
| train.en,train.fr | the same with two files of any name, source first |

Each may end in .gz. Rows that break the form are collected and refused together; what is only odd (sides that are
equal, repeated pairs, lengths that do not fit) is counted and kept.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qkv.base import files
from qkv.base.errors import DataError, UnsupportedError
from qkv.data.lines import read_lines
from qkv.data.pair_rows import check_pair, parse_columns, parse_object, parse_sides, render_columns, render_object
from qkv.data.pairs import Pair
from qkv.data.rows import Dropped, OnBad, Rows, count, listed, parse_rows, told_dropped

_FORMS = 'use .tsv, .jsonl, .src beside .tgt, or two files as "train.en,train.fr"; each may end in .gz'
_LOPSIDED = math.log(3)
_SLACK = 10  # characters added to both sides before lengths are compared, so that short strings may differ


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What reading a file found. Lines count from 1; all but `dropped` were read and kept.

    lopsided: one side is more than 3 times longer than the other sides of the file let expect (in characters, 10
    added to both; measured from the median ratio). repeated: the same pair stands further up.
    """

    name: str
    rows: int
    dropped: tuple[Dropped, ...]
    identical: tuple[int, ...]
    repeated: tuple[int, ...]
    lopsided: tuple[int, ...]

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of oddity."""
        told = told_dropped(self.dropped)
        for lines, what in (
            (self.identical, "with source and target equal"),
            (self.repeated, "the same as one further up"),
            (self.lopsided, "with one side much longer than the other; cut off, or shifted?"),
        ):
            if lines:
                told.append(f"{count(len(lines), 'pair')} {what} {listed(lines)}")
        return told


def read_pairs(path: str | Path, *, on_bad: OnBad = "raise") -> tuple[list[Pair], Report]:
    """Read parallel text; the forms are in this module's table.

    Rows that cannot be used (a side empty, columns missing or too many, bytes that are not UTF-8, broken JSON) raise
    one DataError that lists them; with `on_bad="skip"` they are left out and reported. Files of unequal length are
    always refused: nobody knows which lines belong together.
    """
    paths, parse = _recognise(os.fspath(path))
    columns = [read_lines(file) for file in paths]
    name = " + ".join(file.name for file in paths)
    if len(columns) == 2:
        _check_equal_length(paths, columns)
    numbered = enumerate(zip(*columns, strict=True), 1)
    rows = parse_rows(" + ".join(map(str, paths)), numbered, lambda row: parse(*row), on_bad)
    return rows.values, _report(name, rows)


def write_pairs(path: str | Path, pairs: Iterable[Pair]) -> None:
    """Write pairs so that `read_pairs` returns them: as .jsonl, or as .tsv, which has no place for links.

    An empty side, and a side that TSV cannot hold (tabs, line breaks), raise DataError.
    """
    path = Path(path)
    renderers = {".tsv": render_columns, ".jsonl": render_object}
    if path.suffix not in renderers:
        raise UnsupportedError(f"Pairs are written as .tsv or .jsonl, not as {path.name}.")
    rows = []
    for i, pair in enumerate(pairs, 1):
        try:
            rows.append(renderers[path.suffix](check_pair(pair)) + "\n")
        except DataError as error:
            raise DataError(f"Pair {i} cannot be written to {path}: {error}.") from error
    if not rows:
        raise DataError(f"There are no pairs to write to {path}.")
    files.write_text(path, "".join(rows))


def _recognise(path: str) -> tuple[list[Path], Callable[..., Pair]]:
    """Return the files a path stands for, and what makes a pair of one line of each."""
    if "," in path and not Path(path).exists():
        names = [Path(name.strip()) for name in path.split(",")]
        if len(names) != 2:
            raise DataError(f"{path} names {len(names)} files; parallel text is two, source first.")
        return names, parse_sides
    file = Path(path)
    packed = ".gz" if file.suffix == ".gz" else ""
    suffix = Path(file.name.removesuffix(packed)).suffix
    if suffix in (".src", ".tgt"):
        stem = path.removesuffix(suffix + packed)
        return [Path(stem + side + packed) for side in (".src", ".tgt")], parse_sides
    if suffix not in (".tsv", ".jsonl") and not file.is_dir():
        raise DataError(f"{path} is no form of parallel text that is read here: {_FORMS}.")
    return [file], parse_columns if suffix == ".tsv" else parse_object


def _check_equal_length(paths: Sequence[Path], columns: Sequence[Sequence[bytes]]) -> None:
    source, target = map(len, columns)
    if source == target:
        return
    longer, shorter = (columns[0], columns[1]) if source > target else (columns[1], columns[0])
    raise DataError(
        f"{paths[0]} {count(source, 'line')}, {paths[1]} {target:,}: "
        f"first suspicious pair at {_shift(longer, shorter):,}. "
        "Look there for a line that is missing or broken in two; --on-bad skip cannot mend this."
    )


def _shift(longer: Sequence[bytes], shorter: Sequence[bytes]) -> int:
    """Return the line (from 1) where the longer file most likely has lines that the shorter one lacks.

    Lines of one meaning have similar lengths; the place is where pairing line with line before it, and shifted by
    the surplus after it, makes the ratios of the lengths most even.
    """
    surplus = len(longer) - len(shorter)
    a, b = (np.log([len(line) + _SLACK for line in lines]) for lines in (longer, shorter))
    middle = a.mean() - b.mean()
    straight = np.abs(a[: len(b)] - b - middle)
    shifted = np.abs(a[surplus:] - b - middle)
    before = np.concatenate([[0.0], np.cumsum(straight)])
    after = np.concatenate([[0.0], np.cumsum(shifted)])
    return int(np.argmin(before + after[-1] - after)) + 1


def _report(name: str, rows: Rows[Pair]) -> Report:
    pairs, lines = rows.values, rows.lines
    first: dict[tuple[str, str], int] = {}
    for line, pair in zip(lines, pairs, strict=True):
        first.setdefault((pair.source, pair.target), line)
    lengths = np.array([(len(pair.source), len(pair.target)) for pair in pairs]) + _SLACK
    ratios = np.log(lengths[:, 1] / lengths[:, 0])
    odd = np.abs(ratios - np.median(ratios)) > _LOPSIDED
    return Report(
        name=name,
        rows=len(pairs) + len(rows.dropped),
        dropped=rows.dropped,
        identical=tuple(line for line, pair in zip(lines, pairs, strict=True) if pair.source == pair.target),
        repeated=tuple(
            line for line, pair in zip(lines, pairs, strict=True) if first[pair.source, pair.target] != line
        ),
        lopsided=tuple(np.array(lines)[odd].tolist()),
    )
