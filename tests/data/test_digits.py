"""The digits are split for good: by their pixels, so that nothing of the test set is ever trained on."""

import io
import json
import sys
from collections import Counter
from typing import Any

import pytest
import torch
from rich.console import Console
from sklearn import datasets

from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.data.digits import LABELS, PREPROCESSING, load_digits
from qkv.data.picture_report import check_pictures
from qkv.data.pictures import N_FOLDS, Picture, Prepared, fold_of, hash_content, split_of, split_pictures


def pixels(picture: Picture) -> torch.Tensor:
    assert isinstance(picture.image, torch.Tensor)
    return picture.image


def test_all_digits_are_there_as_scikit_learn_has_them():
    data = load_digits()
    theirs: Any = datasets.load_digits()
    expected = {(tuple(x.ravel() / 16), int(y)) for x, y in zip(theirs.images, theirs.target, strict=True)}
    ours = {(tuple(pixels(one).ravel().tolist()), one.label) for split in data.splits.values() for one in split}
    assert ours == expected and len(ours) == 1797
    assert data.labels == LABELS == tuple("0123456789")
    image = pixels(data.train[0])
    assert image.shape == (1, 8, 8) and image.dtype == torch.float32


def test_the_split_is_frozen():
    data = load_digits()
    sizes = {split: len(found) for split, found in data.splits.items()}
    assert sizes == {"train": 1263, "validation": 273, "test": 261}
    of_test = hash_content("".join(sorted(one.content for one in data.test)).encode())
    assert of_test == "3c018e35dbca0f9a0dec655021102f62"
    assert all(len(Counter(one.label for one in found)) == 10 for found in data.splits.values())


def test_nothing_is_in_two_splits():
    contents = [{one.content for one in found} for found in load_digits().splits.values()]
    assert sum(map(len, contents)) == len(set.union(*contents)) == 1797
    assert all(overlap.same == 0 for overlap in check_pictures(load_digits()).overlaps)


def test_five_folds_test_each_digit_once():
    tested = Counter()
    for fold in range(N_FOLDS):
        data = load_digits(fold=fold)
        assert 320 < len(data.test) < 400 and 320 < len(data.validation) < 400
        tested.update(one.content for one in data.test)
        assert not {one.content for one in data.test} & {one.content for one in data.train + data.validation}
    assert len(tested) == 1797 and set(tested.values()) == {1}
    with pytest.raises(ConfigError, match="fold is 5; there are 5, from 0 to 4"):
        load_digits(fold=5)


def test_equal_pictures_are_split_alike():
    zeros = torch.zeros(1, 2, 2)
    many = [Picture(torch.full((1, 2, 2), i / 60), i % 2, (2, 2), hash_content(bytes([i]))) for i in range(60)]
    twins = [Picture(zeros, i % 2, (2, 2), hash_content(b"x")) for i in range(9)]
    data = split_pictures("made", ["a", "b"], many + twins)
    assert sorted(sum(one.image is zeros for one in found) for found in data.splits.values()) == [0, 0, 9]
    assert Counter(split_of(hash_content(str(i).encode())) for i in range(10_000))["train"] == pytest.approx(
        7000, abs=150
    )
    assert Counter(fold_of(hash_content(str(i).encode())) for i in range(10_000))[3] == pytest.approx(2000, abs=150)


def test_too_few_pictures_are_refused():
    few = [Picture(torch.zeros(1, 2, 2), i % 2, (2, 2), hash_content(bytes([i]))) for i in range(60)]
    with pytest.raises(DataError, match=r"made leaves nothing for (train|test|validation).*give more pictures"):
        split_pictures("made", ["a", "b"], few[:2])
    with pytest.raises(DataError, match="made leaves no picture of c to train on"):
        split_pictures("made", ["a", "b", "c"], few)
    with pytest.raises(DataError, match="made has one label, a: there is nothing to tell apart"):
        split_pictures("made", ["a"], few)


def test_prepared_digits_are_pairs_of_a_picture_and_a_label():
    data = load_digits()
    prepared = Prepared(data.train, PREPROCESSING)
    picture, label = prepared[3]
    assert len(prepared) == len(data.train) and label == data.train[3].label
    assert torch.allclose(picture, pixels(data.train[3]), atol=1e-6)
    with pytest.raises(IndexError):
        prepared[len(prepared)]


def test_the_report_counts_them():
    report = check_pictures(load_digits())
    assert (report.rows, report.used, report.dropped, report.repeated) == (1797, 1797, 0, 0)
    assert report.labels == {str(i): n for i, n in enumerate((178, 182, 177, 183, 181, 182, 181, 179, 174, 180))}
    assert 0.05 < report.majority < 0.15 and report.height.longest == report.width.p50 == 8
    assert [example.name for example in report.examples] == ["digits 1", "digits 899", "digits 1,797"]
    assert json.loads(json.dumps(report.to_dict()))["splits"]["test"] == 261
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(report)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1,797" in text and "always the most frequent" in text and "8 x 8" in text


def test_without_scikit_learn_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UnsupportedError, match=r'pip install "qkv\[eval\]"'):
        load_digits()
