"""The pieces of a SentencePiece model, read from its file: no more of protocol buffers than that takes.

A `.model` is a ModelProto (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto): its
pieces with their scores and kinds, how it was trained, and the map that normalises characters. Kudo and Richardson
2018, https://aclanthology.org/D18-2012/. The encoding of the bytes is https://protobuf.dev/programming-guides/encoding.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qkv.base.errors import DataError

CONTROL, USER_DEFINED = 3, 4
ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
PIECES, TRAINER, NORMALIZER = 1, 2, 3
LONGEST = 64  # what a character may become; Unicode's longest, of U+FDFA, has 18
VARINT, BYTES, WIDTHS = 0, 2, {1: 8, 5: 4}

Value = int | float | bytes


@dataclass(slots=True)
class Piece:
    """One piece: its characters ("▁" for a space), its score, and its kind (1 ordinary, 2 unknown, 3 control ...)."""

    text: str
    score: float
    kind: int


@dataclass(slots=True)
class PieceModel:
    """What a SentencePiece model says; `charsmap` is its precompiled map of characters, empty if it has none."""

    pieces: list[Piece]
    algorithm: str
    unknown: int
    charsmap: bytes


def read_pieces(path: Path, data: bytes) -> PieceModel:
    """Read a SentencePiece model; DataError names the file and what is wrong with it."""
    try:
        model = _model(data)
    except (DataError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} is no SentencePiece model ({len(data):,} bytes): {error}. Download it again."
        ) from error
    texts = {piece.text for piece in model.pieces}
    if len(texts) < len(model.pieces) or "" in texts:
        raise DataError(f"{path} is damaged: its pieces are not all different. Download it again.")
    if model.unknown >= len(texts):
        raise DataError(f"{path} is damaged: its unknown piece is number {model.unknown} of {len(texts)}.")
    return model


def is_charsmap(charsmap: bytes) -> bool:
    """Tell whether a map of characters is whole: a trie's length, the trie, texts, none beyond any of Unicode's."""
    length = int.from_bytes(charsmap[:4], "little")
    if len(charsmap) < 4 or length % 4 or length > len(charsmap) - 4:
        return False
    try:
        texts = charsmap[4 + length :].decode().split("\0")
    except UnicodeDecodeError:
        return False
    return max(map(len, texts)) <= LONGEST


def _model(data: bytes) -> PieceModel:
    model = PieceModel([], "unigram", 0, b"")
    for field, value in _fields(data):
        if field == PIECES:
            model.pieces.append(_piece(_fields(_bytes(value))))
        elif field == TRAINER:
            trained = dict(_fields(_bytes(value)))
            code = _number(trained.get(3, 1))
            if code not in ALGORITHMS:
                raise DataError(f"its algorithm is number {code}, none of {ALGORITHMS}")
            model.algorithm, model.unknown = ALGORITHMS[code], _number(trained.get(40, 0))
        elif field == NORMALIZER:
            model.charsmap = _bytes(dict(_fields(_bytes(value))).get(2, b""))
    if not model.pieces:
        raise DataError("it has no pieces")
    if model.charsmap and not is_charsmap(model.charsmap):
        raise DataError("its map of characters is damaged")
    return model


def _piece(fields: Iterable[tuple[int, Value]]) -> Piece:
    told = dict(fields)
    score = told.get(2, 0.0)
    if not isinstance(score, float) or not math.isfinite(score):
        raise DataError(f"the score of a piece is {score!r}")
    return Piece(_bytes(told.get(1, b"")).decode(), score, _number(told.get(3, 1)))


def _fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Yield the number and the value of each field of a message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield field, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in WIDTHS:
            size = WIDTHS[kind]
        else:
            raise DataError(f"byte {at - 1:,} begins no field")
        if size > len(data) - at:
            raise DataError(f"it ends {size - len(data) + at:,} bytes before its end")
        part = data[at : at + size]
        yield field, struct.unpack("<f", part)[0] if size == 4 and kind != BYTES else part
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of as many bytes as it says, seven bits in each, and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise DataError("it ends within a number")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise DataError(f"the number before byte {at:,} has no end")


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise DataError(f"{value!r} stands where text should")
    return value


def _number(value: Value) -> int:
    if not isinstance(value, int):
        raise DataError(f"{value!r:.40} stands where a number should")
    return value
