"""Decimals, amounts of money and measures in any two locales: "1,234.5 kilometers" and "1 234,5 kilomètres"."""

import random
import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from babel import Locale
from babel.localedata import load
from babel.numbers import format_currency, format_decimal, get_currency_precision

from qkv.base.seeds import draw
from qkv.data.cldr_phrases import Phrase, align
from qkv.data.pairs import Link, Pair, Span

DRAWS = 100_000
CURRENCIES = ("USD", "EUR", "GBP", "JPY", "CNY", "INR", "KRW", "CAD", "AUD", "NZD", "MXN", "BRL", "CHF", "SEK", "PLN")
# No name may begin another, as "5 mètres" does "5 mètres carrés": it would lie inside a string of another split.
_MEASURES = {
    "length": ("kilometer", "meter", "centimeter", "mile", "foot", "inch"),
    "mass": ("kilogram", "gram", "pound", "ounce"),
    "volume": ("liter", "milliliter"),
    "duration": ("second", "minute", "hour", "day", "week", "month", "year"),
    "temperature": ("celsius", "fahrenheit"),
    "digital": ("megabyte", "gigabyte"),
    "energy": ("kilojoule", "kilocalorie"),
    "power": ("kilowatt",),
    "electric": ("volt",),
    "frequency": ("hertz",),
    "concentr": ("percent",),
    "graphics": ("pixel",),
}
UNITS = tuple(f"{quantity}-{unit}" for quantity, units in _MEASURES.items() for unit in units)


class Number(NamedTuple):
    """A number without a language. `kind` is "decimal", "symbol" ("$5.00"), "name" ("5.00 US dollars") or "unit"."""

    kind: str
    value: str
    code: str = ""


class Numbers:
    """A fixed collection: 100,000 draws of decimals, amounts and measures, each kept once.

    Left out, because the two sides could not be aligned with certainty or Babel's string is not what CLDR asks for:
    units that stand on both sides of the number (Japanese "摂氏 5 度"), and currency codes that Babel sets right
    against the digits ("CHF5.00"; CLDR wants a space there).
    """

    def __init__(self, source: Locale, target: Locale):
        self._locales = source, target

    def items(self) -> Iterator[tuple[str, Number]]:
        """Yield (content, item). The content is the value alone: "1,234.5" is never seen with another unit either.

        There are too few values below three digits for that: everything that is "1" would fall to one split, and
        every singular with it. Their content is the value with its unit or currency.
        """
        for number in _draw_numbers():
            yield f"{number.value} {number.code}" if _is_short(number.value) else number.value, number

    def pair(self, number: Number) -> Pair | None:
        """Write one number in both locales; None where one of them cannot be aligned."""
        source, target = (write_number(number, locale) for locale in self._locales)
        if source is None or target is None:
            return None
        if source.spans and target.spans:
            return Pair(source.text, target.text, align(source, target))
        whole = Link((0, len(source.text)), (0, len(target.text)))  # one side says number and unit in one word
        return Pair(source.text, target.text, (whole,))


@cache
def _draw_numbers() -> tuple[Number, ...]:
    rng = draw("cldr:numbers")
    numbers = dict.fromkeys(_draw_number(rng) for _ in range(DRAWS))
    # A bare "5" would lie inside "5 miles", which may be in another split.
    return tuple(number for number in numbers if number.kind != "decimal" or not _is_short(number.value))


def _draw_number(rng: random.Random) -> Number:
    kind = rng.choice(("decimal", "symbol", "name", "unit"))
    code = {"decimal": "", "unit": rng.choice(UNITS)}.get(kind, rng.choice(CURRENCIES))
    if kind in ("decimal", "unit"):
        places = rng.randint(0, 3 if kind == "decimal" else 1)
        value = Decimal(rng.randrange(1, 10 ** rng.randint(1, 7))).scaleb(-places).normalize()
    else:
        places = get_currency_precision(code)
        value = Decimal(rng.randrange(1, 10 ** rng.randint(places + 1, places + 6))).scaleb(-places)
    return Number(kind, f"{value:f}", code)


def _is_short(value: str) -> bool:
    return len(value.replace(".", "")) < 3


def write_number(number: Number, locale: Locale) -> Phrase | None:
    """Write the number as the locale does, with the spans "number" and "unit"; None where they are not certain.

    A measure without digits has no spans: the Arabic dual says "2 meters" in one word, "متران".
    """
    text = _format(number, locale)
    found = re.search(r"\d(.*\d)?", text)
    if found is None:
        return Phrase(text, {})
    sides = [_trim(text, 0, found.start()), _trim(text, found.end(), len(text))]
    units = [span for span in sides if span[0] < span[1]]
    same_digits = re.sub(r"\D", "", found[0]) == number.value.replace(".", "")
    glued = number.kind == "symbol" and re.search(r"[^\W\d]\d|\d[^\W\d]", text)
    if not same_digits or glued or len(units) != (number.kind != "decimal"):
        return None
    return Phrase(text, {"number": found.span()} | ({"unit": units[0]} if units else {}))


def _format(number: Number, locale: Locale) -> str:
    value = Decimal(number.value)
    if number.kind == "symbol":
        return format_currency(value, number.code, locale=locale)
    if number.kind == "name":
        return format_currency(value, number.code, locale=locale, format_type="name")
    text = format_decimal(value, locale=locale)
    if number.kind == "decimal":
        return text
    return _unit_pattern(locale, number.code, locale.plural_form(value)).format(text)


@cache
def _unit_pattern(locale: Locale, unit: str, count: str) -> str:
    """Return the pattern of a unit for one plural form; where the long style has none, CLDR's alias is the short one.

    Babel's own `format_unit` does not follow that alias and writes "5 length-foot" in Hungarian
    (https://unicode.org/reports/tr35/#Lateral_Inheritance).
    """
    styles = load(str(locale))["unit_patterns"][unit]
    patterns = (styles.get(style, {}).get(form) for form in (count, "other") for style in ("long", "short"))
    return next(pattern for pattern in patterns if pattern)


def _trim(text: str, start: int, end: int) -> Span:
    """Leave out spaces and marks of writing direction at both ends."""
    while start < end and unicodedata.category(text[start]) in ("Zs", "Cf"):
        start += 1
    while start < end and unicodedata.category(text[end - 1]) in ("Zs", "Cf"):
        end -= 1
    return start, end
