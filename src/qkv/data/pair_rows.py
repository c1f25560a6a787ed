"""One pair as one row: of TSV, of JSONL, or a line in each of two files; written and read back without loss."""

import json

from qkv.base.errors import DataError
from qkv.data.lines import decode_line, show
from qkv.data.pairs import Link, Pair
from qkv.data.rows import check_text, parse_json


def parse_sides(source: bytes, target: bytes) -> Pair:
    """Return the pair of two lines, one of each file."""
    sides = []
    for name, line in (("source", source), ("target", target)):
        try:
            sides.append(decode_line(line))
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
    return check_pair(Pair(*sides))


def parse_columns(line: bytes) -> Pair:
    """Return the pair of a line of TSV: two columns, no quoting."""
    text = decode_line(line)
    columns = text.split("\t")
    if len(columns) != 2:
        number = f"{len(columns)} column" + ("s" if len(columns) > 1 else "")
        raise DataError(f"{number} instead of 2 (source, TAB, target): {show(text)}")
    return check_pair(Pair(columns[0], columns[1]))


def render_columns(pair: Pair) -> str:
    """Return the line of TSV that reads back as the pair, without its links."""
    row = f"{pair.source}\t{pair.target}"
    if row.count("\t") != 1 or {"\n", "\0"} & set(row) or row.startswith("\ufeff") or row.endswith("\r"):
        raise DataError(f"TSV has no place for tabs, line breaks and the like, as in {show(row)}; write .jsonl")
    return row


def parse_object(line: bytes) -> Pair:
    """Return the pair of a line of JSONL: an object with source, target and at most links."""
    text = decode_line(line)
    data = parse_json(text, "source and target")
    if not {"source", "target"} <= data.keys() <= {"source", "target", "links"}:
        raise DataError(f"keys {', '.join(data) or 'none'} instead of source, target and at most links: {show(text)}")
    for side in ("source", "target"):
        check_text(side, data[side])
    return check_pair(Pair(data["source"], data["target"], _parse_links(data["links"]) if "links" in data else None))


def render_object(pair: Pair) -> str:
    """Return the line of JSONL that reads back as the pair."""
    data: dict[str, object] = {"source": pair.source, "target": pair.target}
    if pair.links is not None:
        data["links"] = pair.links
    return json.dumps(data, ensure_ascii=False)


def check_pair(pair: Pair) -> Pair:
    """Return a pair both sides of which are text, and whose links lie inside; any other raises DataError."""
    for name, text, spans in (
        ("source", pair.source, [link.source for link in pair.links or ()]),
        ("target", pair.target, [link.target for link in pair.links or ()]),
    ):
        check_text(name, text)
        for start, end in spans:
            if not 0 <= start < end <= len(text):
                raise DataError(f"a link of the {name}, [{start}, {end}], is outside its {len(text)} characters")
    return pair


def _parse_links(links: object) -> tuple[Link, ...]:
    parsed = []
    for link in links if isinstance(links, list) else [links]:
        match link:
            case [[int(a), int(b)], [int(c), int(d)]]:
                parsed.append(Link((a, b), (c, d)))
            case _:
                raise DataError(f"links are a list of [[start, end], [start, end]], not {show(json.dumps(link))}")
    return tuple(parsed)
