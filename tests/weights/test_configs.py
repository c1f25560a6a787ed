"""Public configurations: labels, heads and special ids are read strictly, whatever is there instead."""

import re

import pytest

from qkv.base.errors import ConfigError
from qkv.weights.configs import read_head, read_labels, read_sides, read_special_ids, write_labels

CLASSES = {"lm": "SomeLMHeadModel", None: "SomeModel"}


def test_labels_are_in_the_order_of_their_ids():
    assert read_labels({"id2label": {"1": "yes", "0": "no"}}) == ["no", "yes"]
    assert read_labels(write_labels(["no", "yes", "?"])) == ["no", "yes", "?"]
    assert read_labels({}) == ["LABEL_0", "LABEL_1"]
    assert read_labels({"num_labels": 1}) == ["LABEL_0"]


@pytest.mark.parametrize("named", [{"1": "a"}, {"0": "a", "00": "b"}, {"x": "a"}, {"0": "a", "2": "b"}, ["a"], True, 3])
def test_ids_of_labels_run_from_0(named):
    with pytest.raises(ConfigError, match='the ids of "id2label" must run from 0 without gap'):
        read_labels({"id2label": named})


@pytest.mark.parametrize("n", ["2", 0, -1, 2**40, True, 2.0, [2]])
def test_the_number_of_labels_is_one_that_a_net_can_have(n):
    with pytest.raises(ConfigError, match=r'"num_labels" is .*; it must be from 1 to 1,048,576'):
        read_labels({"num_labels": n})


def test_the_head_is_that_of_the_class_or_the_first():
    assert read_head({"architectures": ["SomeModel"]}, CLASSES) is None
    for named in (None, []):
        assert read_head({"architectures": named}, CLASSES) == "lm"
    assert read_head({}, CLASSES) == "lm"


@pytest.mark.parametrize("named", [["SomeLmHeadModel"], "Some", [["SomeModel"]], {"a": 1}, 5, [None]])
def test_other_classes_are_refused(named):
    with pytest.raises(ConfigError, match="is not one of SomeLMHeadModel, SomeModel"):
        read_head({"architectures": named}, CLASSES)


def test_special_ids_that_no_token_can_have_are_left_out():
    told = {"vocab_size": 10, "bos_token_id": 1, "eos_token_id": [2, 10, 9], "pad_token_id": -1}
    assert read_special_ids(told) == {"start_id": 1, "end_ids": (2, 9), "pad_id": None}
    assert read_special_ids({"vocab_size": "10", "bos_token_id": True, "eos_token_id": 0}) == {
        "start_id": None,
        "end_ids": (),
        "pad_id": None,
    }


@pytest.mark.parametrize(
    ("said", "square", "sides", "fault"),
    [
        ({"size": 8}, True, (8, 8), None),
        ({"size": [4, 6]}, False, (4, 6), None),
        ({"size": [4, 6]}, True, (0, 0), r'"size" is \[4, 6\], not one number: patches'),
        ({"size": [4, 6, 8]}, False, (0, 0), r'"size" is \[4, 6, 8\], not one or two numbers of pixels'),
        ({"size": 4.0}, False, (0, 0), r'"size" is 4\.0, not one'),
        ({"size": True}, False, (0, 0), r'"size" is True, not one'),
        ({"size": None}, False, (0, 0), 'missing key "size"'),
        ({}, True, (0, 0), 'missing key "size"'),
    ],
)
def test_sides_are_one_number_or_two(said, square, sides, fault):
    faults: list[str] = []
    assert read_sides(said, "size", faults, square=square) == sides
    assert len(faults) == (fault is not None) and (fault is None or re.match(fault, faults[0]))
