"""Text as it comes, against the whole text decoded at once: bytes of characters, spaces that a tokenizer drops."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkv.generation.outputs import Hypothesis
from qkv.generation.writer import Writer

TEXTS = st.text(st.sampled_from("ab ¿я語🙂"), max_size=30)
STOPS = st.lists(st.text(st.sampled_from("ab ¿я語🙂"), min_size=1, max_size=3), max_size=3)


def from_bytes(ids: list[int]) -> str:
    """Decode as byte-level BPE does: half a character is shown as U+FFFD."""
    return bytes(ids).decode(errors="replace")


def from_pieces(ids: list[int]) -> str:
    """Decode as SentencePiece does: a space at the start of a text is dropped."""
    return "".join((" a", "b", " ", "c ")[i] for i in ids).removeprefix(" ")


def write(writer: Writer, ids: list[int]) -> Hypothesis:
    """Do as the engine does with the ids of one output."""
    for i, token in enumerate(ids, 1):
        n_kept = writer.take(token)
        if n_kept is not None:
            return writer.finish(Hypothesis(ids[:n_kept], 0.0, [], "stop"))
        writer.pass_on(ids[:i])
    return writer.finish(Hypothesis(ids, 0.0, [], "room"))


def cut(text: str, stops: list[str]) -> str:
    """Cut a text where the first stop string to be complete begins."""
    for end in range(len(text) + 1):
        found = [text[:end].find(stop) for stop in stops if stop in text[:end]]
        if found:
            return text[: min(found)]
    return text


@given(text=TEXTS, stops=STOPS)
def test_bytes_become_whole_characters_up_to_a_stop_string(text, stops):
    passed: list[tuple[list[int], str]] = []
    found = write(Writer(0, [], from_bytes, stops, lambda i, ids, new: passed.append((ids, new))), list(text.encode()))
    assert found.text == cut(text, stops)
    assert found.ids == list(found.text.encode())
    assert "".join(new for _, new in passed) == found.text
    assert [token for ids, _ in passed for token in ids] == found.ids
    assert all(new == from_bytes(ids) and "\ufffd" not in new for ids, new in passed)


@given(text=TEXTS)
def test_characters_are_passed_on_with_their_last_byte(text):
    times: list[int] = []
    ids = list(text.encode())
    writer = Writer(0, [], from_bytes, ["c"], lambda i, ids, new: times.append(writer.ids.__len__()))
    write(writer, ids)
    assert times == [len(text[: i + 1].encode()) for i in range(len(text))]


@given(context=st.lists(st.integers(0, 3), max_size=20), ids=st.lists(st.integers(0, 3), max_size=20))
def test_text_goes_on_from_the_prompt(context, ids):
    found = write(Writer(0, context, from_pieces, [], None), ids)
    assert from_pieces(context) + found.text == from_pieces(context + ids)


def test_bytes_that_are_no_character_are_shown_when_nothing_more_comes():
    passed: list[str] = []
    found = write(Writer(0, [], from_bytes, [], lambda i, ids, new: passed.append(new)), [97, 0xF0, 0x9F])
    assert found.text == "a\ufffd" and passed == ["a", "\ufffd"]


@pytest.mark.parametrize(("stop", "text", "ids"), [("bc", "a", [0]), ("ab", "", []), ("c", "ab", [0])])
def test_of_a_token_within_which_a_stop_string_begins_the_id_goes_and_the_text_stays(stop, text, ids):
    found = write(Writer(0, [], lambda ids: "".join(("a", "bcd")[i] for i in ids), [stop], None), [0, 1])
    assert (found.text, found.ids) == (text, ids)


def test_ids_that_nobody_read_are_read_at_the_end():
    """Beams come whole, and Ctrl-C may fall between a token and its text."""
    passed: list[tuple[list[int], str]] = []
    writer = Writer(0, [], from_bytes, [], lambda i, ids, new: passed.append((ids, new)))
    writer.take(97)
    assert writer.finish(Hypothesis([97, 98, 99], 0.0, [], "interrupted")).text == "abc"
    assert writer.finish(Hypothesis([97, 98, 99], 0.0, [], "interrupted")).text == "abc"
    assert passed == [([97, 98, 99], "abc")]
    assert Writer(0, [], from_bytes, [], None).finish(Hypothesis([97, 98, 0], 0.0, [], "end")).text == "ab"
