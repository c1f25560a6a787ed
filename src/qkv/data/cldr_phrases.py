"""What all CLDR data sets share: locales, phrases whose parts are known, their alignment, and lists of them."""

from collections.abc import Sequence
from typing import NamedTuple

from babel import Locale, UnknownLocaleError
from babel.localedata import locale_identifiers

from qkv.base.errors import DataError, nearest
from qkv.data.pairs import Link, Pair, Span


class Phrase(NamedTuple):
    """A string of one locale and where its parts lie in it, by name ("month", "year", "unit")."""

    text: str
    spans: dict[str, Span]


def find_locale(name: str) -> Locale:
    """Return Babel's locale for "en", "pt_BR" or "zh-Hant"; DataError names the nearest when there is none."""
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        hint = nearest(name, locale_identifiers())
        raise DataError(f'CLDR has no locale "{name}".{hint} Locales look like "en", "pt_BR", "zh_Hant".') from None


def align(source: Phrase, target: Phrase) -> tuple[Link, ...]:
    """Link the parts that both phrases have, digit by digit where a part is the same number on both sides.

    Digits are matched from the right, so that "3" is the second digit of "03"; a padding zero has no link.
    """
    links: list[Link] = []
    for name, here in source.spans.items():
        there = target.spans.get(name)
        if there is None:
            continue
        left, right = _digits(source.text, here), _digits(target.text, there)
        if left and right and _number(source.text, left) == _number(target.text, right):
            shared = min(len(left), len(right))
            places = zip(left[-shared:], right[-shared:], strict=True)
            links += [Link((i, i + 1), (j, j + 1)) for i, j in places]
        else:
            links.append(Link(here, there))
    return tuple(links)


def _digits(text: str, span: Span) -> list[int]:
    return [i for i in range(*span) if text[i].isdecimal()]


def _number(text: str, places: Sequence[int]) -> int:
    return int("".join([text[i] for i in places]))


class Joiner:
    """Joins strings as the locale writes a list: "A, B, and C" in English, "A, B et C" in French.

    CLDR gives four patterns: for two items, for the start, the middle and the end of longer lists
    (https://unicode.org/reports/tr35/tr35-general.html#ListPatterns, style "standard").
    """

    def __init__(self, locale: Locale):
        patterns = locale.list_patterns["standard"]
        self._patterns = {name: _cut(patterns[name]) for name in ("2", "start", "middle", "end")}

    def join(self, texts: Sequence[str]) -> tuple[str, list[int]]:
        """Return the list as one string, and the offset at which each text begins in it."""
        joined, starts, last = texts[0], [0], len(texts) - 1
        for i, text in enumerate(texts[1:], start=1):
            name = "2" if last == 1 else "start" if i == 1 else "end" if i == last else "middle"
            before, between, after = self._patterns[name]
            starts = [len(before) + start for start in starts]
            starts.append(len(before) + len(joined) + len(between))
            joined = before + joined + between + text + after
        return joined, starts


def _cut(pattern: str) -> tuple[str, str, str]:
    before, _, rest = pattern.partition("{0}")
    between, _, after = rest.partition("{1}")
    return before, between, after


def join_pairs(pairs: Sequence[Pair], source: Joiner, target: Joiner) -> Pair:
    """Join pairs to one pair of lists, the links moved along; None where a pair has no alignment."""
    source_text, source_starts = source.join([pair.source for pair in pairs])
    target_text, target_starts = target.join([pair.target for pair in pairs])
    links: list[Link] = []
    for pair, s, t in zip(pairs, source_starts, target_starts, strict=True):
        if pair.links is None:
            return Pair(source_text, target_text)
        links += [Link((a + s, b + s), (c + t, d + t)) for (a, b), (c, d) in pair.links]
    return Pair(source_text, target_text, tuple(links))
