"""What objectives ask of a tokenizer, whichever it is."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Encoded(Protocol):
    """What a tokenizer makes of a string: ids, and the characters each stands for."""

    ids: list[int]
    spans: list[tuple[int, int]]


@runtime_checkable
class Codec(Protocol):
    """Strings to ids and back: any of the tokenizers of `qkv.text`."""

    @property
    def vocab_size(self) -> int:
        """The number of tokens, the special ones included."""
        ...

    def encode(self, text: str) -> Encoded:
        """Return the tokens of a string, without special ones."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the string of tokens, special ones dropped."""
        ...

    def pieces(self, text: str) -> list[str]:
        """Return the tokens of a string as people read them."""
        ...


@runtime_checkable
class TextEncoded(Protocol):
    """A text as a model of the public formats reads it.

    segments: 0 for the first text and 1 for the second. words: the number of the word that a token belongs to, None
    for special tokens.
    """

    ids: list[int]
    segments: list[int]
    spans: list[tuple[int, int]]
    words: list[int | None]
    special: list[bool]


@runtime_checkable
class TextCodec(Protocol):
    """The tokenizer of a model of the public formats, with its special tokens; an id is None where it has none."""

    @property
    def vocab_size(self) -> int:
        """The number of tokens, the special ones included."""
        ...

    @property
    def pad_id(self) -> int | None:
        """What fills a batch up."""
        ...

    @property
    def mask_id(self) -> int | None:
        """What hides a token."""
        ...

    @property
    def start_id(self) -> int | None:
        """What a text begins with."""
        ...

    @property
    def end_id(self) -> int | None:
        """What a text ends with."""
        ...

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        special: bool = True,
        max_len: int | None = None,
        truncate: bool = False,
        stride: int = 0,
    ) -> TextEncoded:
        """Return the tokens of a text or of two, with special ones around them unless told otherwise.

        More than `max_len` tokens raise ShapeError, or are cut away with `truncate`.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, special ones dropped."""
        ...
