"""What all readers of rows share: rows that break the form are collected, and refused or left out together."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from qkv.base.errors import DataError
from qkv.data.lines import show

OnBad = Literal["raise", "skip"]
Value = TypeVar("Value")
_SHOWN = 5


class Dropped(NamedTuple):
    """A row that was left out, and why; lines count from 1."""

    line: int
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows(Generic[Value]):
    """The values of the rows that could be read, the line of each, and the rows that were left out."""

    values: list[Value]
    lines: list[int]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What reading found; notes: a sentence for each oddity that keeps nothing from being used."""

    name: str
    rows: int
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> list[str]:
        """One sentence for each kind of oddity, of rows left out first."""
        return [*told_dropped(self.dropped), *self.notes]


def parse_rows(
    name: str, numbered: Iterable[tuple[int, Any]], parse: Callable[[Any], Value], on_bad: OnBad, *, unit: str = "line"
) -> Rows[Value]:
    """Parse rows, each with its line; those that raise DataError are refused in one, or with "skip" left out.

    With nothing left over they are refused in any case. unit: what the numbers count.
    """
    values, lines, bad = [], [], []
    for line, row in numbered:
        try:
            values.append(parse(row))
            lines.append(line)
        except DataError as error:
            bad.append(Dropped(line, str(error)))
    if bad and (on_bad == "raise" or not values):
        raise DataError(_refusal(name, bad, len(values) + len(bad), unit, skippable=bool(values)))
    return Rows(values=values, lines=lines, dropped=tuple(bad))


def told_dropped(dropped: Sequence[Dropped]) -> list[str]:
    """Return the sentence that says how many rows were left out, if any were."""
    if not dropped:
        return []
    line, why = dropped[0]
    return [f"{count(len(dropped), 'row')} left out; the first is line {line}: {why}"]


def parse_json(text: str, wanted: str) -> dict[str, Any]:
    """Return the object that a line of JSONL is; `wanted` says what it should hold."""
    try:
        data = json.loads(text, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError as error:
        raise DataError(f"no JSON ({error.msg} at character {error.pos + 1}): {show(text)}") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets thousands deep
        raise DataError(f"no JSON that can be read ({error}): {show(text)}") from error
    if not isinstance(data, dict):
        raise DataError(f"no object with {wanted}: {show(text)}")
    return data


def check_text(name: str, text: object) -> str:
    """Return a text that says something; no string, only white space, or half a character raises DataError."""
    if not isinstance(text, str):
        raise DataError(f"{name} is no string: {show(json.dumps(text))}")
    if not text.strip():
        raise DataError(f"{name} is empty" + (f" (white space: {show(text)})" if text else ""))
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise DataError(f"{name} holds half a character: {show(text)}")
    return text


def listed(lines: Sequence[int]) -> str:
    """Return the first few lines by number, for a message."""
    shown = ", ".join(map(str, lines[:_SHOWN])) + (", …" if len(lines) > _SHOWN else "")
    return f"({'line' if len(lines) == 1 else 'lines'} {shown})"


def count(n: int, noun: str) -> str:
    """Return a number with its noun: "1 row", "2,000 rows"."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def _refusal(name: str, bad: Sequence[Dropped], rows: int, unit: str, *, skippable: bool) -> str:
    advice = "mend them" + (", or leave them out with --on-bad skip" if skippable else "")
    shown = [f"  {unit} {line:,}: {why}" for line, why in bad[:_SHOWN]]
    more = [f"  and {len(bad) - _SHOWN:,} more"] if len(bad) > _SHOWN else []
    return "\n".join([f"{name}: {len(bad):,} of {count(rows, 'row')} cannot be used; {advice}:", *shown, *more])


def _no_key_twice(items: list[tuple[str, object]]) -> dict[str, object]:
    data = dict(items)
    if len(data) < len(items):
        raise DataError(f"a key stands twice in one object: {', '.join(key for key, _ in items)}")
    return data
