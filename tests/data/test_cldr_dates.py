from collections import Counter
from datetime import date
from functools import cache

import pytest
from babel.dates import format_date, get_date_format, get_day_names, get_era_names, get_month_names, tokenize_pattern
from babel.localedata import locale_identifiers
from hypothesis import given, settings
from hypothesis import strategies as st

from qkv.data.cldr import load_cldr
from qkv.data.cldr_dates import FIRST, LAST, STYLES, Dates, DateWriter, Style
from qkv.data.cldr_phrases import find_locale
from qkv.data.pairs import Pair

LOCALES = (
    *("en", "en_GB", "fr", "hu", "de", "ja", "ar", "ar_EG", "ru", "es", "vi", "zh", "zh_Hant", "ko", "he", "th", "pt"),
    *("fi", "eu", "lt", "ka", "bo", "fa", "hi", "tr", "sw", "ku", "mn", "gez", "nnh", "id"),
)
WIDTHS = ("wide", "abbreviated")


@cache
def writer(locale: str, style: Style) -> DateWriter:
    return DateWriter(find_locale(locale), style)


@cache
def dates(source: str, target: str) -> Dates:
    return Dates(find_locale(source), find_locale(target))


@cache
def meanings(locale: str) -> dict[str, set[tuple[str, int]]]:
    """What a word or number can mean in a date, from Babel's tables of names."""
    found: dict[str, set[tuple[str, int]]] = {str(i): {("month", i)} for i in range(1, 13)}
    for field, names in (("weekday", get_day_names), ("month", get_month_names)):
        for width in WIDTHS:
            for context in ("format", "stand-alone"):
                for value, name in names(width, context, find_locale(locale)).items():
                    found.setdefault(name, set()).add((field, value))
        found.setdefault(get_era_names(width, find_locale(locale))[1], set()).add(("era", 1))
    return found


def check_links(pair: Pair, source: str, target: str, facts: list[date]) -> None:
    """Each link joins one digit with itself, or two names of the weekday or month of one of the days."""
    assert pair.links is not None
    true = {("month", day.month) for day in facts} | {("weekday", day.weekday()) for day in facts} | {("era", 1)}
    for link in pair.links:
        left, right = pair.source[slice(*link.source)], pair.target[slice(*link.target)]
        if not (len(left) == len(right) == 1 and left == right and left.isdecimal()):
            assert meanings(source)[left] & meanings(target)[right] & true, (pair, left, right)
    for spans, text in zip(zip(*pair.links, strict=True), (pair.source, pair.target), strict=True):
        ends = [0]
        for start, end in sorted(spans):
            assert ends[-1] <= start < end <= len(text), (pair, start, end)
            ends.append(end)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("locale", LOCALES)
def test_dates_equal_babels(locale: str, style: Style):
    for day in (date(1900, 1, 1), date(1999, 12, 31), date(2000, 2, 29), date(2015, 3, 3), date(2099, 10, 10)):
        phrase = writer(locale, style).write(day)
        assert phrase.text == format_date(day, style, find_locale(locale))
        year = slice(*phrase.spans["year"])
        assert phrase.text[year] == str(day.year)


def test_every_pattern_of_cldr_has_only_fields_we_know_each_once():
    for locale in map(find_locale, locale_identifiers()):
        for style in STYLES:
            tokens = tokenize_pattern(get_date_format(style, locale).pattern)
            fields = Counter("weekday" if v[0] in "Ec" else v[0] for kind, v in tokens if kind == "field")
            assert set(fields) <= {"weekday", "M", "d", "y", "G"} and set(fields.values()) == {1}, (locale, tokens)


@given(st.sampled_from(LOCALES), st.sampled_from(LOCALES), st.dates(FIRST, LAST), st.sampled_from(STYLES))
@settings(max_examples=200)
def test_links_join_the_same_field_of_the_same_day(source: str, target: str, day: date, style: Style):
    pair = dates(source, target).pair((day, style))
    assert pair.links is not None
    check_links(pair, source, target, [day])
    both = writer(source, style).fields & writer(target, style).fields
    n_names = len(both - {"day", "month", "year", "era"}) + ("era" in both)
    months = [writer(locale, style).write(day) for locale in (source, target)]
    numeric = all(any(c.isdecimal() for c in phrase.text[slice(*phrase.spans["month"])]) for phrase in months)
    n_month = len(str(day.month)) if numeric else 1
    padded = min(phrase.spans["day"][1] - phrase.spans["day"][0] for phrase in months)
    assert len(pair.links) == n_names + n_month + max(padded, len(str(day.day))) + 4


def test_the_example_of_the_design():
    pair = dates("en", "hu").pair((date(2015, 3, 3), "full"))
    assert (pair.source, pair.target) == ("Tuesday, March 3, 2015", "2015. március 3., kedd")
    words = [(pair.source[slice(*s)], pair.target[slice(*t)]) for s, t in pair.links or ()]
    digits = [(digit, digit) for digit in "32015"]
    assert words == [("Tuesday", "kedd"), ("March", "március"), *digits]


@pytest.mark.parametrize(("source", "target"), [("en", "fr"), ("en", "hu"), ("de", "ar"), ("ja", "ko"), ("am", "ml")])
@pytest.mark.parametrize("seed", [0, 1])
def test_links_of_joined_dates_are_right(source: str, target: str, seed: int):
    by_text = {}
    for _, item in dates(source, target).items():
        if item[0].year == 2015:
            by_text[dates(source, target).pair(item).source] = item[0]
    for pair in load_cldr("dates", source, target, items=(2, 4), n=60, seed=seed):
        check_links(pair, source, target, list(by_text.values()))


def test_a_style_is_left_out_where_one_side_does_not_write_the_weekday():
    assert {style for _, (_, style) in dates("en", "ms_BN").items()} == {"long"}
    assert {style for _, (_, style) in dates("en", "th").items()} == {"full", "long"}  # only Thai writes the era


def test_every_eleventh_day_of_two_millennia_is_there_in_both_styles():
    items = list(dates("en", "fr").items())
    days = sorted({day for _, (day, _) in items})
    assert len(items) == 2 * 66_408 and len(days) == len({content for content, _ in items}) == 66_408
    assert days[0] == FIRST and (LAST - days[-1]).days < 11


def test_no_digit_of_a_year_tells_another_and_all_fields_come():
    days = {day for _, (day, _) in dates("en", "fr").items()}
    assert {str(day.year)[:2] for day in days} == {f"{a}{b}" for a in "12" for b in "0123456789"}
    assert {(day.month, day.day) for day in days} >= {(m, d) for m in range(1, 13) for d in range(1, 29)}
    assert {day.weekday() for day in days} == set(range(7))
