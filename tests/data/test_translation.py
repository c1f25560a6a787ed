"""Splits by one name: nothing leaks between them, and the same name gives the same pairs."""

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkv.base.errors import ConfigError, DataError
from qkv.data import translation
from qkv.data.pairs import Pair
from qkv.data.parallel import write_pairs
from qkv.data.translation import N_HELD_OUT, cldr_pairs, open_splits, parse_items

PAIRS = [Pair(f"word {i}", f"mot {i}") for i in range(400)]


def write(path: Path, pairs: list[Pair] = PAIRS) -> str:
    write_pairs(path, pairs)
    return str(path)


@pytest.mark.parametrize(("text", "items"), [("1-3", (1, 3)), ("2", (2, 2)), ("1-1", (1, 1)), ("10-12", (10, 12))])
def test_items_are_read(text, items):
    assert parse_items(text) == items


@pytest.mark.parametrize("text", ["", "-", "1-", "-3", "1-2-3", "a", "1 - 3", "1.5", "²", "１", "1-3\n", "99999"])
def test_items_that_are_nonsense(text):
    with pytest.raises(ConfigError, match=re.escape(f'items is "{text}"; write it as 1-3 or as 2.')):
        parse_items(text)


@given(st.text())
def test_items_are_read_or_refused(text):
    with contextlib.suppress(ConfigError):
        low, high = parse_items(text)
        assert {low, high} == {int(part) for part in text.split("-")}


@pytest.mark.parametrize("items", ["3-1", "0-1", "0-2", "0"])
def test_items_out_of_order_are_refused(items):
    with pytest.raises(ConfigError, match="give two numbers from 1 upwards"):
        cldr_pairs("cldr:names", source="en", target="fr", items=items, split="train", n=5)


@pytest.mark.parametrize("n", [0, -1])
def test_no_examples_are_refused(n):
    with pytest.raises(ConfigError, match="at least one"):
        cldr_pairs("cldr:names", source="en", target="fr", items="1", split="train", n=n)


def test_every_twentieth_pair_of_a_file_is_held_out(tmp_path):
    splits = open_splits(write(tmp_path / "words.tsv"), source="en", target="fr")
    assert (len(splits.train), len(splits.validation), splits.test) == (380, 20, [])
    assert sorted([*splits.train, *splits.validation], key=PAIRS.index) == PAIRS
    assert splits.reading is not None
    assert splits.reading.rows == 400
    backwards = open_splits(write(tmp_path / "back.tsv", PAIRS[::-1]), source="en", target="fr")
    assert set(map(str, backwards.validation)) == set(map(str, splits.validation)), "by content, not by place"


def test_a_source_with_two_translations_stays_in_one_split(tmp_path):
    twice = [*PAIRS, *(Pair(pair.source, pair.target + " !") for pair in PAIRS)]
    splits = open_splits(write(tmp_path / "words.tsv", twice), source="en", target="fr")
    assert len(splits.validation) == 40
    assert not {pair.source for pair in splits.train} & {pair.source for pair in splits.validation}


def test_no_more_than_a_few_hundred_are_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(translation, "N_HELD_OUT", 7)
    assert len(open_splits(write(tmp_path / "words.tsv"), source="en", target="fr").validation) == 7
    assert N_HELD_OUT == 500


def test_a_file_too_small_to_hold_pairs_out(tmp_path):
    path = write(tmp_path / "words.tsv", PAIRS[:19])
    with pytest.raises(DataError, match="has 19 pairs: too few to hold some out for validation; name another file"):
        open_splits(path, source="en", target="fr")
    splits = open_splits(path, source="en", target="fr", valid=write(tmp_path / "valid.tsv", PAIRS[30:33]))
    assert splits.train == PAIRS[:19]
    assert splits.validation == PAIRS[30:33]


def test_bad_rows_of_both_files_are_refused_or_left_out(tmp_path):
    good, bad = write(tmp_path / "good.tsv"), tmp_path / "bad.tsv"
    bad.write_text("one\tun\nno tab\n")
    ways: list[dict[str, Any]] = [{"data": good, "valid": str(bad)}, {"data": str(bad), "valid": good}]
    for paths in ways:
        with pytest.raises(DataError, match="line 2"):
            open_splits(**paths, source="en", target="fr")
        skipped = open_splits(**paths, source="en", target="fr", on_bad="skip")
        assert {len(skipped.train), len(skipped.validation)} == {400, 1}


def test_built_in_sets_come_in_three_splits_that_share_nothing():
    splits = open_splits("cldr:names", source="en", target="fr", n_examples=300)
    parts = [splits.train, splits.validation, splits.test]
    assert len(splits.train) == 300
    assert all(20 < len(part) <= N_HELD_OUT for part in parts[1:]), "all there are, where there are fewer"
    sources = [{pair.source for pair in part} for part in parts]
    assert not (sources[0] & sources[1] or sources[0] & sources[2] or sources[1] & sources[2])
    assert splits == open_splits("cldr:names", source="en", target="fr", n_examples=300)
    more = open_splits("cldr:names", source="en", target="fr", n_examples=10_000).train
    assert more[:300] == splits.train
    assert 1000 < len(more) < 10_000


def test_lists_of_items_are_as_many_as_asked_for():
    splits = open_splits("cldr:dates", source="en", target="fr", items="2-3", n_examples=50)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [50, 500, 500]
    assert all(pair.links for pair in splits.train)


@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        ({"data": "cldr:date"}, DataError, 'no built-in data set "cldr:date". Did you mean'),
        ({"data": "cldr:dates", "source": "xx"}, DataError, 'no locale "xx"'),
        ({"data": "nowhere.tsv"}, DataError, r"There is no file nowhere\.tsv"),
        ({"data": "words.txt"}, DataError, "no form of parallel text"),
    ],
)
def test_data_that_is_not_there(asked, kind, message):
    with pytest.raises(kind, match=message):
        open_splits(**{"source": "en", "target": "fr"} | asked)
