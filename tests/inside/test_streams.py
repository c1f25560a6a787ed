"""Tokens know their words, whatever tokenizer cut them; pictures come back as the net saw them."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from qkv.base.errors import ShapeError
from qkv.inside.streams import TextStream, number_words, picture_stream


@pytest.mark.parametrize(
    ("text", "pieces", "words"),
    [
        ("The criminal ran.", ["The", "crim", "inal", "ran", "."], [0, 1, 1, 2, 3]),
        ("isn't 2015", ["isn", "'", "t", "2", "0", "1", "5"], [0, 1, 2, 3, 3, 3, 3]),
        ("नमस्ते दुनिया", ["नम", "स्ते", "दुनिया"], [0, 0, 1]),
        ("我是人", ["我是", "人"], [0, 1]),
        ("a_b c", ["a", "_", "b", "c"], [0, 0, 0, 1]),
        ("שלום עולם", ["של", "ום", "עולם"], [0, 0, 1]),
    ],
)
def test_pieces_of_a_word_have_its_number(text, pieces, words):
    spans, at = [], 0
    for piece in pieces:
        at = text.index(piece, at)
        spans.append((at, at + len(piece)))
        at += len(piece)
    assert number_words(text, spans, [False] * len(spans)) == words


def test_special_tokens_and_white_space_are_of_no_word():
    """A line end is a word of its own; bytes of one character share its number."""
    assert number_words("a\nb", [(0, 0), (0, 1), (1, 2), (2, 3), (3, 3)], [True, False, False, False, True]) == [
        -1,
        0,
        1,
        2,
        -1,
    ]
    assert number_words("🦊", [(0, 1)] * 4, [False] * 4) == [0, 0, 0, 0]


def test_a_leading_space_in_a_span_belongs_to_the_word_behind_it():
    assert number_words("a bc", [(0, 1), (1, 3), (3, 4)], [False] * 3) == [0, 1, 1]


def test_a_picture_comes_back_pixel_for_pixel():
    pixels = torch.randint(0, 256, (3, 8, 12), dtype=torch.uint8)
    stream = picture_stream("picture", pixels / 255, 4, ["[CLS]"])
    data = base64.b64decode(stream.image.removeprefix("data:image/png;base64,"))
    assert (np.asarray(Image.open(io.BytesIO(data))) == pixels.permute(1, 2, 0).numpy()).all()
    assert (stream.grid, stream.size, len(stream)) == ((2, 3), (8, 12), 7)


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(ShapeError, match="has 1 tokens, 0 offsets, 1 words and 1 marks"):
        TextStream(name="text", text="a", tokens=("a",), offsets=(), words=(0,), special=(False,))
