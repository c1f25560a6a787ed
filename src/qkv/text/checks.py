"""What every tokenizer refuses, in the same words: half characters, ids of another vocabulary, files that break it."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qkv.base.errors import DataError, QkvError, ShapeError


def check_unicode(text: str) -> None:
    """Raise DataError for half of a surrogate pair: no text, and nothing that any tokenizer could read."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise DataError(f"Character {error.start} of {text[:40]!r} is half a character ({half!r}): no text.") from error


def checked_texts(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts to learn a tokenizer from; DataError for one string, or one that is no text."""
    if isinstance(texts, str):
        raise DataError("A tokenizer learns from a list of strings, not from one string: give [text].")
    for text in texts:
        check_unicode(text)
        yield text


def checked_ids(ids: Iterable[int], vocab_size: int) -> list[int]:
    """Return the ids as a list; ShapeError names the first that is outside the vocabulary."""
    ids = list(ids)
    for place, i in enumerate(ids):
        if not 0 <= i < vocab_size:
            raise ShapeError(
                f"Token id {i} at [{place}] is outside the vocabulary ({vocab_size:,} tokens). "
                "Is this tokenizer for another model?"
            )
    return ids


@contextmanager
def guarded(complaint: str) -> Iterator[None]:
    """Raise whatever the `tokenizers` library raises as a DataError that begins with `complaint`.

    What Rust cannot go on from is raised as PanicException, which is no Exception and cannot be imported.
    """
    try:
        yield
    except QkvError:
        raise
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{complaint}: {type(error).__name__}: {reason}") from error
        raise


def read_json(path: Path, data: bytes) -> dict[str, Any]:
    """Return the object that a JSON file holds; DataError names the file."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}. Download it again.") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} holds a {type(value).__name__}, wanted an object.")
    return value
