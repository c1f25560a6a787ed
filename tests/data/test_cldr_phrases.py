import pytest
from babel import Locale
from babel.lists import format_list
from babel.localedata import locale_identifiers

from qkv.base.errors import DataError
from qkv.data.cldr_phrases import Joiner, Phrase, align, find_locale, join_pairs
from qkv.data.pairs import Link, Pair


@pytest.mark.parametrize("name", ["pt_BR", "pt-BR", "zh_Hant", "zh-hant-TW", "fil"])
def test_both_spellings_of_a_locale_are_understood(name: str):
    assert str(find_locale(name)).lower().replace("_", "-").startswith(name.lower().replace("_", "-"))


@pytest.mark.parametrize(("name", "hint"), [("pt_BX", 'Did you mean "pt_BR"?'), ("e", "no locale"), ("", "no locale")])
def test_an_unknown_locale_is_refused_with_the_nearest(name: str, hint: str):
    with pytest.raises(DataError, match="CLDR has no locale") as error:
        find_locale(name)
    assert hint in str(error.value)


def test_lists_equal_babels_in_every_locale():
    texts = ["a{0}", "bb", "ccc", "dddd", "e"]
    for name in locale_identifiers():
        locale = find_locale(name)
        joiner = Joiner(locale)
        for k in range(1, 6):
            joined, starts = joiner.join(texts[:k])
            assert joined == format_list(texts[:k], locale=locale), name
            assert [joined[a : a + len(t)] for a, t in zip(starts, texts, strict=False)] == texts[:k], name


def test_links_move_along_also_where_a_list_begins_with_a_word(monkeypatch: pytest.MonkeyPatch):
    pairs = [Pair("one", "un", (Link((0, 3), (0, 2)),)), Pair("5 two", "deux 5", (Link((2, 5), (0, 4)),))]
    english = Joiner(find_locale("en"))
    both = {"2": "both {0} and {1}", "start": "all of {0}, {1}", "middle": "{0}, {1}", "end": "{0} and {1}!"}
    monkeypatch.setattr(Locale, "list_patterns", {"standard": both})
    joined = join_pairs(pairs * 2, english, Joiner(find_locale("en")))
    assert joined.source == "one, 5 two, one, and 5 two"
    assert joined.target == "all of un, deux 5, un and deux 5!"
    assert joined.links is not None
    assert [joined.source[slice(*link.source)] for link in joined.links] == ["one", "two", "one", "two"]
    assert [joined.target[slice(*link.target)] for link in joined.links] == ["un", "deux", "un", "deux"]


def test_pairs_without_alignment_are_joined_to_one_without():
    english = Joiner(find_locale("en"))
    assert join_pairs([Pair("a", "b"), Pair("c", "d")], english, english) == Pair("a and c", "b and d", None)


def test_equal_numbers_are_linked_digit_by_digit_from_the_right():
    source, target = Phrase("on 03.", {"day": (3, 5)}), Phrase("3", {"day": (0, 1)})
    assert align(source, target) == (Link((4, 5), (0, 1)),)
    source, target = Phrase("1,234", {"number": (0, 5)}), Phrase("1234", {"number": (0, 4)})
    assert [link.source[0] for link in align(source, target)] == [0, 2, 3, 4]


def test_what_is_not_the_same_number_on_both_sides_has_one_link():
    source, target = Phrase("March", {"month": (0, 5)}), Phrase("3月", {"month": (0, 2)})
    assert align(source, target) == (Link((0, 5), (0, 2)),)
    assert align(Phrase("12", {"x": (0, 2)}), Phrase("21", {"x": (0, 2)})) == (Link((0, 2), (0, 2)),)


def test_a_part_that_one_side_lacks_has_no_link():
    assert align(Phrase("3 ค.ศ.", {"day": (0, 1), "era": (2, 6)}), Phrase("3", {"day": (0, 1)})) == (
        Link((0, 1), (0, 1)),
    )
