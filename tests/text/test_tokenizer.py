"""Tokenizers lose nothing, say where each token stands, and refuse files that would break that."""

import inspect
import json
import pickle
import pydoc_data.topics

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library
from tokenizers import models, pre_tokenizers

from qkv.base.errors import ConfigError, DataError, ShapeError
from qkv.text.tokenizer import SPECIAL, Tokenizer, train_tokenizer

KINDS = ("words", "chars", "bpe")
DATES = ["Tuesday, March 3, 2015", "mardi 3 mars 2015", "2015. március 3., kedd", "1\u202f234,50\u00a0€", "in  March"]
SPACES = " \u00a0\u202f\u2003\u2028\u0085\t\n\r\x1c"
ALPHABET = "aZéé\u0301ßñ3٣٥Ⅷ½,.'«»-—▁Ġ漢字हि😀👍🏽\u200d\x00\x7f\u00ad</sp>" + SPACES
texts = st.one_of(st.text(st.sampled_from(ALPHABET), max_size=30), st.text(max_size=30))


@pytest.fixture(scope="module")
def bpe():
    return train_tokenizer("bpe", [*DATES, *list(pydoc_data.topics.topics.values())[:20]], 600)


@given(text=texts)
@example(text="  March  3 ")
@example(text="\u00a03\u202f000\u00a0")
@pytest.mark.parametrize("kind", KINDS)
def test_decoding_gives_the_string_back(kind, text):
    tokenizer = train_tokenizer(kind, [text, "a"])
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@given(text=texts)
def test_byte_pairs_know_every_string(bpe, text):
    encoded = bpe.encode(text)
    assert bpe.decode(encoded.ids) == text
    assert not set(encoded.ids) & set(range(len(SPECIAL)))


@given(text=texts)
@pytest.mark.parametrize("kind", KINDS)
def test_spans_cover_the_string_in_order(kind, text, bpe):
    tokenizer = bpe if kind == "bpe" else train_tokenizer(kind, DATES)  # the words are unknown, their places are not
    spans = tokenizer.encode(text).spans
    covered = set()
    for (start, end), (next_start, next_end) in zip(spans, [*spans[1:], (len(text), len(text))], strict=False):
        assert 0 <= start <= end <= len(text)
        assert start <= next_start and end <= next_end
        covered |= set(range(start, end))
    left = "".join(c for i, c in enumerate(text) if i not in covered)
    assert left == " " * len(left)


@given(words=st.lists(st.sampled_from(["March", "3", ",", "é", "漢字", "\u00a0"]), min_size=1, max_size=8))
@pytest.mark.parametrize("kind", ["words", "bpe"])
def test_a_token_begins_where_each_word_digit_and_sign_does(kind, words, bpe):
    tokenizer = bpe if kind == "bpe" else train_tokenizer("words", DATES)
    starts = {start for start, end in tokenizer.encode(" ".join(words)).spans if end > start}
    place = 0
    for word in words:
        assert place in starts
        place += len(word) + 1


def test_words_split_digits_and_signs_and_keep_letters_with_their_marks():
    tokenizer = train_tokenizer("words", DATES)
    assert tokenizer.pieces("March 31, 2015: l'été e\u0301té") == [
        *("March", "3", "1", ",", "2", "0", "1", "5", ":", "l", "'", "été", "e\u0301té")
    ]
    assert tokenizer.pieces("1\u202f234") == ["1", "\u202f", "2", "3", "4"]
    assert tokenizer.pieces("a  b") == ["a", " ", "b"]


def test_a_word_is_the_same_token_wherever_it_stands():
    tokenizer = train_tokenizer("words", ["March 3", "3 March"])
    first, last = tokenizer.encode("March 3"), tokenizer.encode("3 March")
    assert first.ids == last.ids[::-1]
    assert (first.spans, last.spans) == ([(0, 5), (6, 7)], [(0, 1), (2, 7)])


def test_the_space_put_before_a_string_stands_for_no_character(bpe):
    assert train_tokenizer("words", [" a"]).encode(" a").spans == [(0, 0), (1, 2)]
    assert train_tokenizer("words", ["b"]).encode("\ta").spans == [(0, 0), (0, 1), (1, 2)]
    assert train_tokenizer("words", ["b"]).encode("aa").spans == [(0, 2)]
    assert train_tokenizer("chars", [" a"]).encode(" a").spans == [(0, 1), (1, 2)]
    assert bpe.encode(" \u0416").spans[0] == (0, 0)
    assert {bpe.encode("\u0416").spans[-1]} == {(0, 1)}


def test_unknown_words_are_marked_in_their_place():
    tokenizer = train_tokenizer("words", ["March 3"])
    encoded = tokenizer.encode("March Xyz 3")
    assert [i == tokenizer.unk_id for i in encoded.ids] == [False, True, False]
    assert encoded.spans == [(0, 5), (6, 9), (10, 11)]
    assert tokenizer.decode(encoded.ids) == "March<unk> 3"


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_have_their_ids_and_are_not_decoded(kind):
    tokenizer = train_tokenizer(kind, DATES, 300)
    assert (tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id) == (0, 1, 2, 3)
    ids = tokenizer.encode("March 3").ids
    assert tokenizer.decode([2, *ids, 3, 0, 0]) == "March 3"
    assert tokenizer.decode([]) == "" and tokenizer.encode("").ids == []


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("travel", ["made", "loaded", "pickled"])
def test_text_cannot_pass_itself_off_as_a_special_token(kind, special, travel, tmp_path):
    text = f"a {special}{special} b"
    tokenizer = train_tokenizer(kind, [text] * 50)
    if travel == "loaded":
        tokenizer.save(tmp_path / "tokenizer.json")
        tokenizer = Tokenizer.load(tmp_path)
    elif travel == "pickled":
        tokenizer = pickle.loads(pickle.dumps(tokenizer))
    ids = tokenizer.encode(text).ids
    assert min(ids) > 3
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_give_the_same_file_and_the_file_the_same_tokenizer(kind, tmp_path):
    corpus = list(pydoc_data.topics.topics.values())[:15]
    for name in ("one.json", "two.json"):
        train_tokenizer(kind, corpus, 700).save(tmp_path / name)
    one = (tmp_path / "one.json").read_bytes()
    assert one == (tmp_path / "two.json").read_bytes()
    loaded = Tokenizer.load(tmp_path / "one.json")
    loaded.save(tmp_path / "again.json")
    assert one == (tmp_path / "again.json").read_bytes()
    assert loaded.encode(corpus[0]) == train_tokenizer(kind, corpus, 700).encode(corpus[0])


def test_the_vocabulary_holds_the_most_frequent_words():
    tokenizer = train_tokenizer("words", ["a a a b b c"], vocab_size=6)
    assert tokenizer.vocab_size == 6
    assert [i > 3 for i in tokenizer.encode("a b c").ids] == [True, True, False]


def test_ids_of_another_vocabulary_are_refused():
    tokenizer = train_tokenizer("chars", ["ab"])
    with pytest.raises(ShapeError, match=r"Token id 6 at \[1\] is outside the vocabulary \(6 tokens\)"):
        tokenizer.decode([4, 6])
    with pytest.raises(ShapeError, match="Token id -1"):
        tokenizer.decode([-1])


def test_what_is_no_text_is_refused():
    with pytest.raises(DataError, match="every string is empty"):
        train_tokenizer("words", ["", ""])
    with pytest.raises(DataError, match="not from one string"):
        train_tokenizer("words", "one string")
    with pytest.raises(DataError, match="half a character"):
        train_tokenizer("words", ["fine", "a\ud800"])
    with pytest.raises(DataError, match="Character 1 of"):
        train_tokenizer("words", ["fine"]).encode("a\ud800")


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="at least 260"):
        train_tokenizer("bpe", ["text"], 100)
    with pytest.raises(ConfigError, match=r'No tokenizer "word".*Did you mean "words"'):
        inspect.unwrap(train_tokenizer)("word", ["text"])  # pyright: ignore[reportArgumentType]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"No tokenizer at .*looked for .*tokenizer\.json"):
        Tokenizer.load(tmp_path)
    with pytest.raises(DataError, match=r"other\.json"):
        Tokenizer.load(tmp_path / "other.json")


def broken(data, **change):
    return json.dumps(data | change)


def test_a_broken_file_is_named_with_the_reason(tmp_path):
    file = tmp_path / "tokenizer.json"
    train_tokenizer("words", DATES).save(file)
    good = json.loads(file.read_text())
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 5}
    vocab = good["model"]["vocab"]
    faults = {
        "{": "JSONDecodeError",
        "[]": "no object",
        '{"model": 1}': "special token",
        broken(good, model={"type": "Nope", "vocab": vocab}): "variant",
        broken(good, truncation=cut): "its truncation is .*5.*must be null",
        broken(good, padding={"strategy": "BatchLongest"}): "its padding",
        broken(good, added_tokens=[]): 'special token "<pad>" must have id 0, not None',
        broken(good, model=good["model"] | {"vocab": vocab | {"x": 9999}}): "do not run from 0",
        broken(good, model=good["model"] | {"vocab": vocab | {"x": 5}}): "gap or repetition",
        broken(good, model=good["model"] | {"unk_token": "none"}): "UNK",
        broken(
            good, pre_tokenizer={"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}
        ): "parenthesis",
        "[" * 100_000: "RecursionError",
    }
    for text, reason in faults.items():
        file.write_text(text)
        with pytest.raises(DataError, match=rf"tokenizer\.json is no tokenizer that can be used: .*{reason}"):
            Tokenizer.load(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UnicodeDecodeError"):
        Tokenizer.load(file)


def test_a_panic_of_the_library_is_a_data_error(tmp_path, monkeypatch, capfd):
    """A crafted file makes the library panic while encoding; its exception is no Exception."""
    library = Library(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    library.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    library.enable_truncation(1)
    crafted = json.loads(library.to_str())
    crafted["truncation"]["stride"] = 5
    (tmp_path / "tokenizer.json").write_text(json.dumps(crafted))
    monkeypatch.setattr("qkv.text.tokenizer._fault", lambda data: "")
    with pytest.raises(DataError, match="PanicException: `stride` must be strictly less"):
        Tokenizer.load(tmp_path)
