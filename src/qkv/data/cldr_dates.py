"""Dates in any two locales: "Tuesday, March 3, 2015" and "2015. március 3., kedd".

Each date is written field by field from the locale's own pattern
(https://unicode.org/reports/tr35/tr35-dates.html#Date_Format_Patterns), so where weekday, month, day and year
stand is known, not guessed.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Literal

from babel import Locale
from babel.dates import DateTimeFormat, get_date_format, tokenize_pattern

from qkv.data.cldr_phrases import Phrase, align
from qkv.data.pairs import Pair

# Two thousand years, so that no digit of a year can be told from another: between 1900 and 2099 a 9 betrays the 1
# before it, and a translator that looks at the 9 for both is right, while its alignment is wrong. Every eleventh day,
# as 11 is prime to 7: all weekdays, months and days come.
FIRST, LAST, STRIDE = date(1000, 1, 1), date(2999, 12, 31), 11
# CLDR's full format has the weekday, the long one has not: to translate both, a model must look whether it is
# there. The medium and short formats leave out what a translation needs ("3/4/15" is March or April).
Style = Literal["full", "long"]
STYLES: tuple[Style, ...] = ("full", "long")

_DAYS = [FIRST + timedelta(days) for days in range(0, (LAST - FIRST).days + 1, STRIDE)]
_FIELDS: dict[str, tuple[str, Callable[[date], int]]] = {
    "E": ("weekday", date.weekday),
    "c": ("weekday", date.weekday),
    "d": ("day", lambda day: day.day),
    "M": ("month", lambda day: day.month),
    "L": ("month", lambda day: day.month),
    "y": ("year", lambda day: day.year),
    "G": ("era", lambda day: 0),
}


class DateWriter:
    """Writes dates of one locale in one style, letter for letter as Babel's `format_date` does.

    Babel formats each value of each field once, for a table; a date is then put together from the tables.
    """

    def __init__(self, locale: Locale, style: Style):
        self.fields: set[str] = set()
        self._parts: list[str | tuple[str, Callable[[date], int], dict[int, str]]] = []
        for kind, value in tokenize_pattern(get_date_format(style, locale).pattern):
            if kind == "chars":
                self._parts.append(str(value))
            else:
                letter, width = value
                name, number = _FIELDS[letter]
                self.fields.add(name)
                self._parts.append((name, number, _texts(locale, letter * int(width), number)))

    def write(self, day: date) -> Phrase:
        """Return the date and where its fields lie."""
        text, spans = "", {}
        for part in self._parts:
            if isinstance(part, str):
                text += part
            else:
                name, number, texts = part
                start = len(text)
                text += texts[number(day)]
                spans[name] = (start, len(text))
        return Phrase(text, spans)


def _texts(locale: Locale, field: str, number: Callable[[date], int]) -> dict[int, str]:
    """Return what Babel writes for each value of a field."""
    shown = {number(day): day for day in _DAYS}
    return {value: DateTimeFormat(day, locale)[field] for value, day in shown.items()}


class Dates:
    """Every eleventh day of the years 1000 to 2999, each in the full format (with the weekday) and in the long one.

    A style counts only where both locales write the same fields: Malay in Brunei has no weekday in its full format,
    and a translation from it would have to work the weekday out.
    """

    def __init__(self, source: Locale, target: Locale):
        self._writers: dict[Style, tuple[DateWriter, DateWriter]] = {}
        for style in STYLES:
            writers = DateWriter(source, style), DateWriter(target, style)
            if writers[0].fields ^ writers[1].fields <= {"era"}:  # an era is no riddle: it is the same for all dates
                self._writers[style] = writers

    def items(self) -> Iterator[tuple[str, tuple[date, Style]]]:
        """Yield (content, item): both styles of a day have one content, for the long one lies inside the full one."""
        for day in _DAYS:
            content = day.isoformat()
            for style in self._writers:
                yield content, (day, style)

    def pair(self, item: tuple[date, Style]) -> Pair:
        """Write one date in both locales."""
        day, style = item
        source, target = (writer.write(day) for writer in self._writers[style])
        return Pair(source.text, target.text, align(source, target))
