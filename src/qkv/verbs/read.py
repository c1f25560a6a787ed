"""Fill gaps in texts, label texts and pictures, turn them into vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np

from qkv.base import files
from qkv.model import Model
from qkv.model.reader import Guess, Label
from qkv.verbs.translate import open_model

Dtype = Literal["fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Filled:
    """A text, and for each of its gaps the likeliest tokens."""

    text: str
    gaps: list[list[Guess]]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A text or the name of a picture, and its labels, likeliest first."""

    input: str
    labels: list[Label]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Texts or names of pictures, and a vector for each, in fp32."""

    inputs: list[str]
    vectors: np.ndarray


def fill(model: Model | Path | str, texts: Sequence[str], *, top: int = 5, dtype: Dtype = "fp32") -> list[Filled]:
    """Return the likeliest tokens for the gaps of each text."""
    reader = open_model(model, dtype)
    return [Filled(text, reader.fill(text, top=top)) for text in texts]


def predict(
    model: Model | Path | str, inputs: Sequence[str], *, top: int = 5, dtype: Dtype = "fp32"
) -> list[Predicted]:
    """Return the likeliest labels of each text or picture file."""
    labels = open_model(model, dtype).predict(inputs)
    return [Predicted(one, ranked[:top]) for one, ranked in zip(inputs, labels, strict=True)]


def embed(
    model: Model | Path | str, inputs: Sequence[str], *, save: Path | str | None = None, dtype: Dtype = "fp32"
) -> Embedded:
    """Return a vector for each text or picture file; `save` also writes them as a NumPy file."""
    vectors = open_model(model, dtype).embed(inputs).numpy()
    if save is not None:
        file = BytesIO()
        np.lib.format.write_array(file, vectors, allow_pickle=False)
        files.write_bytes(Path(save), file.getvalue())
    return Embedded(list(inputs), vectors)
