"""Texts that are longer than a model's positions: refused, cut, or read in pieces."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qkv.base.errors import ConfigError, ShapeError
from qkv.generation.outputs import check_eval
from qkv.text.public import Encoding


def read_texts(
    model: Any, texts: Sequence[str], pairs: Sequence[str] | None, *, truncate: bool, stride: int | None
) -> tuple[list[Encoding], list[int]]:
    """Return the texts, or pairs of texts, as a model reads them, and the number of the text that each is of.

    A text that is too long raises ShapeError; with `truncate` its end is left out; with `stride` it is read in pieces
    that share so many tokens with their neighbours.
    """
    if stride is not None and (truncate or pairs):
        raise ConfigError("stride splits long texts: it goes neither with truncate nor with pairs of texts.")
    check_eval(model.net)
    tokenizer, max_len = model.tokenizer, model.net.cfg.max_len
    encoded: list[Encoding] = []
    owners: list[int] = []
    for i, (text, pair) in enumerate(zip(texts, pairs or [None] * len(texts), strict=True)):
        try:
            if stride is None:
                parts = [tokenizer.encode(text, pair, max_len=max_len, truncate=truncate)]
            else:
                parts = tokenizer.split(text, max_len=max_len, stride=stride)
        except ShapeError as error:
            raise ShapeError(f"Text {i + 1} of {len(texts)}: {error}") from error
        encoded += parts
        owners += [i] * len(parts)
    return encoded, owners


def average(rows: Float[Tensor, "n k"], owners: Sequence[int]) -> Float[Tensor, "b k"]:
    """Return the mean of the rows of each text."""
    of = torch.tensor(owners, dtype=torch.long)
    n_texts = owners[-1] + 1 if owners else 0
    total = rows.new_zeros(n_texts, rows.size(-1)).index_add_(0, of, rows)
    return total / of.bincount(minlength=n_texts)[:, None]
