import pytest

from qkv.data.cldr import load_cldr
from qkv.data.cldr_names import Names, list_names
from qkv.data.cldr_phrases import find_locale


def test_names_come_with_their_kind_and_code():
    names = list_names(find_locale("hu"))
    assert names["territory", "DE"] == "Németország"
    assert names["language", "fr"] == "francia"
    assert names["currency", "JPY"] == "japán jen"
    assert names["unit", "duration-hour"] == "óra"
    assert {kind for kind, _ in names} == {"territory", "language", "currency", "unit"}


def test_a_bare_code_is_no_name():
    assert all(
        name != code for locale in ("fr", "es", "hu") for (_, code), name in list_names(find_locale(locale)).items()
    )
    assert ("language", "gil") in list_names(find_locale("fr"))


@pytest.mark.parametrize("target", ["fr", "de", "zh", "sw"])
def test_no_name_is_there_twice_on_either_side(target: str):
    names = Names(find_locale("en"), find_locale(target))
    pairs = [names.pair(key) for _, key in names.items()]
    assert len(pairs) > 900
    assert len({pair.source for pair in pairs}) == len({pair.target for pair in pairs}) == len(pairs)
    assert all(pair.links is None for pair in pairs)


def test_names_that_are_equal_in_both_languages_stay():
    names = Names(find_locale("en"), find_locale("fr"))
    assert ("territory", "CA") in [key for _, key in names.items()]
    assert names.pair(("territory", "CA")).source == names.pair(("territory", "CA")).target == "Canada"


def test_the_splits_share_no_name_and_leave_none_out():
    splits = {split: load_cldr("names", "en", "fr", split=split) for split in ("train", "validation", "test")}
    sources = {split: {pair.source for pair in pairs} for split, pairs in splits.items()}
    targets = {split: {pair.target for pair in pairs} for split, pairs in splits.items()}
    for side in (sources, targets):
        assert not (
            side["train"] & side["test"] or side["train"] & side["validation"] or side["test"] & side["validation"]
        )
        assert sum(map(len, side.values())) == len(list(Names(find_locale("en"), find_locale("fr")).items()))
