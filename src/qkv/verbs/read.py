"""Fill gaps in texts, label texts and pictures, turn them into vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qkv.base import files
from qkv.base.errors import ConfigError
from qkv.model import Model, Viewer
from qkv.model.labels import Label
from qkv.model.reader import Guess
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
    model: Model | Path | str,
    inputs: Sequence[str],
    *,
    top: int = 5,
    truncate: bool = False,
    stride: int | None = None,
    dtype: Dtype = "fp32",
) -> list[Predicted]:
    """Return the likeliest labels of each text or picture file.

    truncate, stride: cut texts that are too long, or read them in pieces that share so many tokens.
    """
    opened = open_model(model, dtype)
    labels = opened.predict(inputs, **_lengths(opened, truncate, stride))
    return [Predicted(one, ranked[:top]) for one, ranked in zip(inputs, labels, strict=True)]


def embed(
    model: Model | Path | str,
    inputs: Sequence[str],
    *,
    save: Path | str | None = None,
    truncate: bool = False,
    stride: int | None = None,
    dtype: Dtype = "fp32",
) -> Embedded:
    """Return a vector for each text or picture file; `save` also writes them as a NumPy file.

    truncate, stride: as for `predict`.
    """
    opened = open_model(model, dtype)
    vectors = opened.embed(inputs, **_lengths(opened, truncate, stride)).numpy()
    if save is not None:
        file = BytesIO()
        np.lib.format.write_array(file, vectors, allow_pickle=False)
        files.write_bytes(Path(save), file.getvalue())
    return Embedded(list(inputs), vectors)


def _lengths(model: Model, truncate: bool, stride: int | None) -> dict[str, Any]:
    """Return what is asked of long texts; pictures have no length."""
    if not isinstance(model, Viewer):
        return {"truncate": truncate, "stride": stride}
    if truncate or stride is not None:
        raise ConfigError("truncate and stride are for texts; this model looks at pictures.")
    return {}
