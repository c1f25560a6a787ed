import re
from decimal import Decimal
from itertools import pairwise

import pytest
from babel.numbers import format_currency, format_decimal
from babel.units import format_unit
from hypothesis import given, settings
from hypothesis import strategies as st

from qkv.data.cldr import load_cldr
from qkv.data.cldr_numbers import CURRENCIES, UNITS, Number, Numbers, write_number
from qkv.data.cldr_phrases import find_locale
from qkv.data.pairs import Pair

LOCALES = (
    "en",
    "fr",
    "hu",
    "de",
    "ja",
    "ar",
    "he",
    "ru",
    "es",
    "vi",
    "zh",
    "hi",
    "sw",
    "de_CH",
    "pt",
    "fa",
    "cy",
    "lv",
)
ITEMS = [number for _, number in Numbers(find_locale("en"), find_locale("fr")).items()]


def words(pair: Pair) -> list[tuple[str, str]]:
    return [(pair.source[slice(*link.source)], pair.target[slice(*link.target)]) for link in pair.links or ()]


def translate(number: Number, source: str, target: str) -> Pair:
    pair = Numbers(find_locale(source), find_locale(target)).pair(number)
    assert pair is not None
    return pair


def test_there_are_thousands_of_every_kind_and_none_twice():
    kinds = [number.kind for number in ITEMS]
    assert all(kinds.count(kind) > 10_000 for kind in ("decimal", "symbol", "name", "unit"))
    assert len(set(ITEMS)) == len(ITEMS)
    assert {number.code for number in ITEMS} == {"", *CURRENCIES, *UNITS}


@given(st.sampled_from(LOCALES), st.sampled_from(LOCALES), st.sampled_from(ITEMS))
@settings(max_examples=400)
def test_digits_are_linked_with_themselves_and_the_unit_with_the_unit(source: str, target: str, number: Number):
    pair = Numbers(find_locale(source), find_locale(target)).pair(number)
    if pair is None:
        return
    assert pair.links is not None
    for link in pair.links:
        assert 0 <= link.source[0] < link.source[1] <= len(pair.source)
        assert 0 <= link.target[0] < link.target[1] <= len(pair.target)
    found = words(pair)
    if found == [(pair.source, pair.target)]:
        assert number.kind == "unit" and Decimal(number.value) <= 2
        return
    digits = [digit for digit in number.value if digit != "."]
    assert found[: len(digits)] == [(digit, digit) for digit in digits]
    rest = found[len(digits) :]
    assert len(rest) == (number.kind != "decimal")
    for left, right in rest:
        for side, locale in ((left, source), (right, target)):
            assert not re.search(r"\d", side) and side == side.strip()
            assert side in write(number, locale) and sum(map(str.isalnum, side)) == letters(number, locale)
    for side in range(2):
        spans = sorted(link[side] for link in pair.links)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


def write(number: Number, locale: str) -> str:
    phrase = write_number(number, find_locale(locale))
    assert phrase is not None
    return phrase.text


def letters(number: Number, locale: str) -> int:
    """All letters of the string belong to the unit, as digits, signs and spaces are all that is left."""
    return sum(c.isalnum() and not c.isdecimal() for c in write(number, locale))


@given(st.sampled_from(LOCALES), st.sampled_from([number for number in ITEMS if number.kind != "unit"]))
def test_decimals_and_amounts_equal_babels(locale: str, number: Number):
    phrase, value, babel = write_number(number, find_locale(locale)), Decimal(number.value), find_locale(locale)
    if phrase is None:
        assert number.kind == "symbol"
    elif number.kind == "decimal":
        assert phrase.text == format_decimal(value, locale=babel)
    else:
        style = {"symbol": "standard", "name": "name"}[number.kind]
        assert phrase.text == format_currency(value, number.code, locale=babel, format_type=style)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("locale", ["en", "es", "fr", "ru"])
@pytest.mark.parametrize("unit", ["length-kilometer", "duration-hour", "mass-kilogram", "length-mile"])
@pytest.mark.parametrize("value", ["1", "2", "5", "1.5", "21", "999999"])
def test_measures_equal_babels_where_babel_has_the_long_form(locale: str, unit: str, value: str):
    assert write(Number("unit", value, unit), locale) == format_unit(Decimal(value), unit, locale=find_locale(locale))


@pytest.mark.parametrize(
    ("locale", "value", "unit", "text"),
    [
        ("hu", "5", "length-foot", "5 láb"),  # Babel: "5 length-foot"
        ("zh", "5", "length-kilometer", "5公里"),
        ("ja", "5", "duration-second", "5 秒"),
        ("ar", "5", "duration-day", "5 أيام"),
        ("ar", "2", "duration-day", "يومان"),
        ("sw", "3", "length-meter", "mita 3"),
        ("pl", "2", "duration-hour", "2 godziny"),
        ("pl", "5", "duration-hour", "5 godzin"),
    ],
)
def test_measures_follow_the_inheritance_of_cldr(locale: str, value: str, unit: str, text: str):
    assert write(Number("unit", value, unit), locale) == text


def test_grouping_and_the_decimal_sign_carry_no_link():
    pair = translate(Number("unit", "1234.5", "length-kilometer"), "en", "de")
    assert (pair.source, pair.target) == ("1,234.5 kilometers", "1.234,5 Kilometer")
    assert words(pair) == [*zip("12345", "12345", strict=True), ("kilometers", "Kilometer")]


def test_a_symbol_before_the_number_is_linked_with_one_behind_it():
    pair = translate(Number("symbol", "1099.50", "USD"), "en", "fr")
    assert (pair.source, pair.target) == ("$1,099.50", "1\u202f099,50\xa0$US")
    assert words(pair)[-1] == ("$", "$US")


def test_marks_of_writing_direction_are_in_no_link():
    pair = translate(Number("symbol", "5.00", "EUR"), "en", "ar")
    assert pair.target.startswith("\u200f")
    assert words(pair) == [("5", "5"), ("0", "0"), ("0", "0"), ("€", "€")]


def test_a_measure_in_one_word_is_linked_as_a_whole():
    pair = translate(Number("unit", "2", "length-mile"), "en", "ar")
    assert words(pair) == [("2 miles", "ميلان")]


@pytest.mark.parametrize(
    ("number", "locale"),
    [
        (Number("unit", "5", "temperature-celsius"), "ja"),  # the unit stands on both sides: 摂氏 5 度
        (Number("symbol", "5.00", "CHF"), "en"),  # Babel's "CHF5.00" lacks CLDR's space
    ],
)
def test_what_cannot_be_aligned_with_certainty_is_left_out(number: Number, locale: str):
    assert write_number(number, find_locale(locale)) is None
    assert Numbers(find_locale(locale), find_locale("fr")).pair(number) is None
    assert Numbers(find_locale("fr"), find_locale(locale)).pair(number) is None


def test_units_never_lie_inside_each_other():
    for locale in LOCALES:
        texts = [
            f" {write(Number('unit', '7', u), locale)} "
            for u in UNITS
            if write_number(Number("unit", "7", u), find_locale(locale))
        ]
        assert [a for a in texts for b in texts if a is not b and a in b] == []


def test_no_value_of_the_test_split_is_in_a_training_string():
    def values(split: str, n: int) -> set[str]:
        texts = [pair.source for pair in load_cldr("numbers", "en", "fr", items=(1, 3), n=n, split=split)]
        found = {value for text in texts for value in re.findall(r"\d[\d,]*(?:\.\d+)?", text.replace(", ", " "))}
        return {value for value in found if len(re.sub(r"\D", "", value)) >= 3}

    train, test = values("train", 3000), values("test", 1500)
    assert len(train) > 3000 and len(test) > 1000
    assert train & test == set()
