import re
import sys

import pytest

from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.data.cldr import load_cldr, split_of

ENGLISH_DATE = re.compile(r"[A-Z][a-z]+ \d{1,2}, \d{4}")


def test_splits_are_ninety_five_and_five_percent_and_never_move():
    splits = [split_of(f"content {i}") for i in range(20_000)]
    assert [round(splits.count(split) / 20_000, 2) for split in ("train", "validation", "test")] == [0.9, 0.05, 0.05]
    assert [split_of(day) for day in ("2015-03-03", "2000-02-29")] == ["train", "test"]


def test_no_date_of_the_test_split_is_in_a_training_string():
    def days(split: str, n: int) -> set[str]:
        texts = [pair.source for pair in load_cldr("dates", "en", "fr", items=(1, 3), n=n, split=split)]
        return {day for text in texts for day in ENGLISH_DATE.findall(text)}

    train, validation, test = days("train", 8000), days("validation", 1500), days("test", 1500)
    assert len(train) > 8000 and min(len(validation), len(test)) > 1500
    assert not (train & test or train & validation or validation & test)


def test_single_items_are_all_there_once():
    pairs = load_cldr("cldr:dates", "en", "fr", split="test")
    assert len(pairs) == len({pair.source for pair in pairs}) > 6000
    assert load_cldr("dates", "en", "fr", split="test", n=10) == pairs[:10]
    assert [p.source for p in load_cldr("dates", "en", "fr", split="test", seed=1)] != [p.source for p in pairs]


@pytest.mark.parametrize("name", ["dates", "numbers", "names"])
def test_the_same_arguments_give_the_same_pairs_and_a_larger_n_adds_at_the_end(name: str):
    def load(n: int, seed: int = 3):
        return load_cldr(name, "en", "hu", items=(1, 3), n=n, split="validation", seed=seed)

    assert load(40) == load(40) == load(80)[:40]
    assert load(40) != load(40, seed=4)
    assert len({(pair.source, pair.target) for pair in load(80)}) == 80


def test_items_do_not_depend_on_the_locales():
    french, hungarian = (load_cldr("dates", "en", target, items=(2, 2), n=20) for target in ("fr", "hu"))
    assert [pair.source for pair in french] == [pair.source for pair in hungarian]


def test_the_number_of_items_is_drawn_evenly():
    texts = [pair.source for pair in load_cldr("dates", "en", "fr", items=(1, 3), n=3000)]
    counts = [len(ENGLISH_DATE.findall(text)) for text in texts]
    assert all(0.3 < counts.count(k) / 3000 < 0.37 for k in (1, 2, 3))


def test_fewer_strings_than_asked_for_is_an_error():
    with pytest.raises(DataError, match=r"cldr:names from en to fr has \d+ different strings of 1-1 items"):
        load_cldr("names", "en", "fr", n=10_000, split="test")
    with pytest.raises(DataError, match="has 0 different strings"):
        load_cldr("names", "en", "bem", items=(50, 50), n=1, split="test")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cldr:date"}, 'no built-in data set "cldr:date". Did you mean "cldr:dates"?'),
        ({"source": "en_USA"}, 'CLDR has no locale "en_USA". Did you mean "en_U'),
        ({"target": "xx"}, 'CLDR has no locale "xx".'),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(arguments: dict, message: str):
    with pytest.raises(DataError) as error:
        load_cldr(**{"name": "dates", "source": "en", "target": "fr", **arguments})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"items": (3, 1)}, "items is 3-1"),
        ({"items": (0, 1)}, "items is 0-1"),
        ({"items": (1, 3)}, "no natural number"),
        ({"n": 0}, "n is 0"),
        ({"split": "valid"}, 'no split "valid"'),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        load_cldr("dates", "en", "fr", **arguments)


def test_without_babel_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    for module in [name for name in sys.modules if name.startswith(("babel", "qkv.data.cldr_"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "babel", None)
    with pytest.raises(UnsupportedError, match=r'pip install "qkv\[demo\]"'):
        load_cldr("dates", "en", "fr")
