"""Plain text that people bring, as documents; and how they are parted into some to learn from and some to judge by.

| path | documents |
|--|--|
| corpus.txt | parted by blank lines |
| corpus.jsonl | one a line, {"text": "..."} |
| folder | its .txt files, each one document |
| - | stdin, parted by blank lines |

Each file may end in .gz.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from qkv.base.errors import DataError
from qkv.base.seeds import mix
from qkv.data.lines import cut_lines, decode_line, read_lines
from qkv.data.pydoc import load_pydoc
from qkv.data.rows import OnBad, Reading, Rows, check_text, count, parse_json, parse_rows

_OTHER = (".tsv", ".csv", ".json", ".xml", ".html", ".pdf", ".parquet")
_ONE_IN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSplits:
    """Documents to learn from, and others to judge by; reading: what the first ones' file was like."""

    train: list[str]
    validation: list[str]
    reading: Reading | None = None


def open_documents(data: str, *, valid: str | None = None, on_bad: OnBad = "raise") -> TextSplits:
    """Return the splits of "pydoc" (built in), or of a user's text; `valid` names the text to judge by, if any."""
    documents, reading = (load_pydoc(), None) if data == "pydoc" else read_documents(data, on_bad=on_bad)
    if valid is not None:
        return TextSplits(train=documents, validation=read_documents(valid, on_bad=on_bad)[0], reading=reading)
    train, validation = split_documents(documents, data)
    return TextSplits(train=train, validation=validation, reading=reading)


def read_documents(path: str | Path, *, on_bad: OnBad = "raise") -> tuple[list[str], Reading]:
    r"""Read documents; the forms are in this module's table.

    Bytes that are not UTF-8 and lines that are no JSON object with a text raise one DataError with their lines; with
    `on_bad="skip"` their documents are left out. Only "\n" and "\r\n" end a line.
    """
    name, place = os.fspath(path), Path(path)
    if name == "-":
        return _parted(cut_lines(sys.stdin.buffer.read(), "stdin"), "stdin", on_bad)
    if place.is_dir():
        return _folder(place, on_bad)
    suffix = Path(place.name.removesuffix(".gz")).suffix
    if suffix in _OTHER:
        raise DataError(f"{path} is no plain text: give .txt, or .jsonl with a text in each line; each may end in .gz.")
    if suffix == ".jsonl":
        return _objects(read_lines(place), name, on_bad)
    return _parted(read_lines(place), name, on_bad)


def split_documents(documents: Sequence[str], name: str = "This text") -> tuple[list[str], list[str]]:
    """Part documents by a hash of their content: about one in ten is to judge by, at least one.

    A document's side does not depend on the others, on their order, or on how often it stands there.
    """
    drawn = {document: mix("validation", document) for document in documents}
    if len(drawn) < 2:
        raise DataError(
            f"{name} is one document, so that none can be held out: part it by blank lines, or name other text with "
            "--valid."
        )
    held = {document for document, number in drawn.items() if number % _ONE_IN == 0}
    held = held if 0 < len(held) < len(drawn) else {min(drawn, key=lambda document: drawn[document])}
    return [one for one in documents if one not in held], [one for one in documents if one in held]


def _parted(lines: Sequence[bytes], name: str, on_bad: OnBad) -> tuple[list[str], Reading]:
    numbered = enumerate(lines, 1)
    groups = (list(group) for blank, group in groupby(numbered, key=lambda one: not one[1].strip()) if not blank)
    return _reading(name, parse_rows(name, ((group[0][0], group) for group in groups), _join, on_bad))


def _join(lines: Sequence[tuple[int, bytes]]) -> str:
    """Return the document of lines; a byte that is not UTF-8 is named with its line."""
    decoded = []
    for number, line in lines:
        try:
            decoded.append(decode_line(line))
        except DataError as error:
            raise DataError(f"line {number}, {error}") from error
    return check_text("the document", "\n".join(decoded))


def _folder(folder: Path, on_bad: OnBad) -> tuple[list[str], Reading]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    texts = [path for path in paths if path.name.endswith((".txt", ".txt.gz"))]
    if not texts:
        raise DataError(f"{folder} holds no .txt files.")
    rows = parse_rows(str(folder), enumerate(texts, 1), _whole, on_bad, unit="file")
    others = [path for path in paths if path not in set(texts)]
    notes = [f"{count(len(others), 'file')} not .txt and not read, first {others[0].name}"] if others else []
    return _reading(str(folder), rows, notes)


def _whole(path: Path) -> str:
    lines = [*enumerate(read_lines(path), 1)]
    try:
        return _join(lines).strip("\n")
    except DataError as error:
        raise DataError(f"{path.name}, {error}") from error


def _objects(lines: Sequence[bytes], name: str, on_bad: OnBad) -> tuple[list[str], Reading]:
    others: set[str] = set()

    def parse(line: bytes) -> str:
        text = decode_line(line)
        data = parse_json(text, "a text")
        if "text" not in data:
            raise DataError(f'no "text" in an object with {", ".join(data) or "nothing"}')
        others.update(data.keys() - {"text"})
        return check_text("text", data["text"])

    rows = parse_rows(name, enumerate(lines, 1), parse, on_bad)
    return _reading(name, rows, [f"keys beside text are not read: {', '.join(sorted(others))}"] if others else [])


def _reading(name: str, rows: Rows[str], notes: Sequence[str] = ()) -> tuple[list[str], Reading]:
    if not rows.values:
        raise DataError(f"{name} holds no text, only blank lines.")
    n_rows = len(rows.values) + len(rows.dropped)
    return rows.values, Reading(name=name, rows=n_rows, dropped=rows.dropped, notes=tuple(notes))
