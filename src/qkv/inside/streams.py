"""The streams of a trace: tokens with their places in a text, patches with their picture."""

import base64
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from qkv.base.errors import ShapeError

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class TextStream:
    """Tokens in their order, each with the characters `text[start:end]` it stands for.

    words: the number of the word that a token belongs to, -1 for special tokens. generated: the first token that the
    model wrote itself; None where it wrote none.
    """

    name: str
    kind: Literal["text"] = "text"
    text: str
    tokens: tuple[str, ...]
    offsets: tuple[Span, ...]
    words: tuple[int, ...]
    special: tuple[bool, ...]
    generated: int | None = None

    def __post_init__(self) -> None:
        n = len(self.tokens)
        if not n == len(self.offsets) == len(self.words) == len(self.special):
            raise ShapeError(
                f'Stream "{self.name}" has {n} tokens, {len(self.offsets)} offsets, {len(self.words)} words and '
                f"{len(self.special)} marks of special tokens; they must be equally many."
            )

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureStream:
    """Tokens that stand for the whole picture, then its patches row by row.

    size: rows and columns of pixels of `image`, the picture as the net saw it, a PNG as a data URL.
    """

    name: str
    kind: Literal["picture"] = "picture"
    grid: tuple[int, int]
    prefix: tuple[str, ...]
    size: tuple[int, int]
    image: str

    def __len__(self) -> int:
        return len(self.prefix) + self.grid[0] * self.grid[1]


Stream = TextStream | PictureStream


def text_stream(
    name: str,
    text: str,
    tokens: Sequence[str],
    offsets: Sequence[Span],
    special: Sequence[bool],
    *,
    generated: int | None = None,
) -> TextStream:
    """Return a stream of tokens, with the words that they make up."""
    return TextStream(
        name=name,
        text=text,
        tokens=tuple(tokens),
        offsets=tuple((int(start), int(end)) for start, end in offsets),
        words=tuple(number_words(text, offsets, special)),
        special=tuple(map(bool, special)),
        generated=generated,
    )


def number_words(text: str, offsets: Sequence[Span], special: Sequence[bool]) -> list[int]:
    """Return the number of the word that each token belongs to, -1 for special tokens.

    A word is a run of letters, digits and their marks; any other sign, and each Chinese character, is one by itself.
    The rule is the same for all tokenizers, some of which know no words.
    """
    of_place = _words_of_places(text)
    numbers: list[int] = []
    last: int | None = None
    n = -1
    for (start, end), apart in zip(offsets, special, strict=True):
        inside = [word for word in of_place[start:end] if word is not None]
        word = inside[0] if inside else None
        if not apart and (word is None or word != last):
            n += 1
        last = None if apart else word
        numbers.append(-1 if apart else n)
    return numbers


def _words_of_places(text: str) -> list[int | None]:
    """Return the number of the word that each character belongs to; None for white space."""
    found: list[int | None] = []
    n, running = -1, False
    for char in text:
        if char.isspace():
            found.append(None)
            running = False
            continue
        goes_on = (char.isalnum() and not _is_chinese(char)) or char == "_" or unicodedata.category(char)[0] == "M"
        if not (running and goes_on):
            n += 1
        running = goes_on
        found.append(n)
    return found


def _is_chinese(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or "\U00020000" <= char <= "\U0003ffff"


def picture_stream(name: str, pixels: Float[Tensor, "c y x"], patch: int, prefix: Sequence[str]) -> PictureStream:
    """Return a stream of patches of a picture whose values go from 0 to 1."""
    rows, columns = pixels.shape[1:]
    return PictureStream(
        name=name,
        grid=(rows // patch, columns // patch),
        prefix=tuple(prefix),
        size=(rows, columns),
        image=as_url(pixels),
    )


def as_url(pixels: Float[Tensor, "c y x"]) -> str:
    """Return a picture of values from 0 to 1 as a PNG in a data URL; one channel is grey, three are RGB."""
    numbers = (pixels.detach().float().cpu() * 255).round().clamp(0, 255).byte()
    array = numbers.permute(1, 2, 0).numpy()
    drawn = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(drawn, "PNG")
    return "data:image/png;base64," + base64.b64encode(drawn.getvalue()).decode()
