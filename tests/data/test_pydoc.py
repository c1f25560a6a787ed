"""The manual of Python as documents: prose enough, each once, on a side of its own."""

from qkv.data.pydoc import load_pydoc
from qkv.data.text import open_documents


def test_there_is_prose_enough():
    documents = load_pydoc()
    assert len(documents) == len(set(documents)) >= 70
    assert 60_000 < sum(len(one.split()) for one in documents) < 90_000
    assert all(one == one.strip("\n") and one for one in documents)
    assert load_pydoc() == documents


def test_its_splits_are_frozen_by_content():
    splits = open_documents("pydoc")
    assert sorted(splits.train + splits.validation) == sorted(load_pydoc())
    assert not set(splits.train) & set(splits.validation)
    share = sum(map(len, splits.validation)) / sum(map(len, load_pydoc()))
    print(f"{len(splits.validation)} documents, {share:.1%} of the characters held out")
    assert 0.03 < share < 0.25
