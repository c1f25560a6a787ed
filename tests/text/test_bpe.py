"""The readable byte-pair encoding equals the library's, on prose and on small words that provoke ties."""

import json
import pydoc_data.topics
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from qkv.text.bpe import join, learn_merges, split_word

PROSE = Counter(" ".join(list(pydoc_data.topics.topics.values())[:40]).split())


def library(words, vocab_size=100_000):
    """Train the library's BPE on words that occur so often; return it and its merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False)
    tokenizer.train_from_iterator((" ".join([word] * count) for word, count in words.items()), trainer)
    return tokenizer, [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


@pytest.fixture(scope="module")
def prose():
    return library(PROSE)


def test_merges_of_prose_equal_the_librarys(prose):
    assert len(PROSE) > 1000
    assert learn_merges(PROSE, 600) == prose[1][:600]


def test_pieces_of_prose_equal_the_librarys(prose):
    tokenizer, _ = library(PROSE, 700)
    merges = learn_merges(PROSE, 700 - len(set("".join(PROSE))))
    for word in [*PROSE, "unheard", "aaaaaaa", "=" * 20]:
        assert split_word(word, merges) == tokenizer.encode(word).tokens, word


@given(st.dictionaries(st.text("abc", min_size=1, max_size=12), st.integers(1, 3), min_size=1, max_size=6))
@example({"aaaa": 1, "aaaaa": 2})
@example({"abcbc": 1, "bcabc": 1})
def test_ties_and_repetitions_are_settled_as_in_the_library(words):
    tokenizer, merges = library(words)
    assert learn_merges(words, 1000) == merges
    for word in words:
        assert split_word(word, merges) == tokenizer.encode(word).tokens


def test_the_example_of_the_docstring():
    merges = learn_merges({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 4)
    assert merges == [("e", "s"), ("es", "t"), ("l", "o"), ("lo", "w")]
    assert split_word("lowest", merges) == ["low", "est"]


def test_merging_ends_with_the_neighbours():
    assert learn_merges({"ab": 1}, 10) == [("a", "b")]
    assert learn_merges({}, 10) == [] and learn_merges({"a": 3}, 10) == []
    assert split_word("", [("a", "b")]) == []
    assert join(list("aaa"), ("a", "a")) == ["aa", "a"]
