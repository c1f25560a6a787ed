"""Causal language modelling: every token of a text is predicted from those before it.

Radford et al. 2018 (https://openai.com/index/language-unsupervised/) and 2019
(https://openai.com/index/better-language-models/).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.models.family import Decoder
from qkv.ops.losses import token_loss
from qkv.tasks.codec import TextCodec
from qkv.tasks.objective import Loss, Objective, Watch, batches

_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Windows(Sequence[Tensor]):
    """Documents one after the other, the end token before, between and after them, cut into windows.

    A window reads `length` tokens and predicts the next of each, so it holds one token more; the last may be shorter.
    Every token of every document is predicted once. n_bytes: of the documents in UTF-8.
    """

    ids: Int[Tensor, "n"]
    length: int
    n_bytes: int

    def __len__(self) -> int:
        return -(-(len(self.ids) - 1) // self.length)

    def __getitem__(self, i: int) -> Int[Tensor, "t"]:  # type: ignore[override] - windows are not sliced
        begin = range(len(self))[i] * self.length
        return self.ids[begin : begin + self.length + 1]


class Batch(NamedTuple):
    """Windows side by side, padded on the right; labels: the token after each place that `keep` marks."""

    ids: Int[Tensor, "b t"]
    keep: Bool[Tensor, "b t"]
    labels: Int[Tensor, "n"]


class Causal(Objective):
    """Predict each token from those before it.

    window: tokens that are read at once, the net's `max_len` unless given. A tokenizer without an end token raises
    UnsupportedError: nothing would part the documents.
    """

    unit, watch = "tokens", Watch("loss", "lower")

    def __init__(self, tokenizer: TextCodec, cfg: Any, *, window: int | None = None) -> None:
        self.tokenizer, self.window = tokenizer, window or cfg.max_len
        if self.window > cfg.max_len:
            raise ConfigError(f"A window of {self.window} tokens is longer than the model, which has {cfg.max_len}.")
        if tokenizer.end_id is None:
            raise UnsupportedError("This tokenizer has no end token, with which to part documents.")
        self.end_id: int = tokenizer.end_id

    def encode(self, documents: Iterable[str]) -> Windows:
        """Return documents as windows."""
        parts, n_bytes = [[self.end_id]], 0
        for document in documents:
            parts.append([*self.tokenizer.encode(document, special=False).ids, self.end_id])
            n_bytes += len(document.encode())
        if not n_bytes:
            raise DataError("There is no text to learn from.")
        return Windows(torch.tensor([*chain(*parts)]), self.window, n_bytes)

    def length(self, example: Int[Tensor, "t"]) -> int:
        """Return how many tokens a window predicts."""
        return len(example) - 1

    def batch(self, examples: Sequence[Int[Tensor, "_"]]) -> Batch:
        """Return windows side by side."""
        lengths = torch.tensor([len(example) - 1 for example in examples])
        whole = torch.full((len(examples), int(lengths.max()) + 1), self.end_id)
        for row, example in zip(whole, examples, strict=True):
            row[: len(example)] = example
        keep = torch.arange(whole.size(1) - 1) < lengths[:, None]
        return Batch(whole[:, :-1], keep, whole[:, 1:][keep])

    def loss(self, net: Decoder, batch: Batch) -> Loss:
        """Return the loss of a batch; nothing looks ahead, so padding on the right needs no mask."""
        logits = net(batch.ids, None, keep=batch.keep)
        return Loss(*token_loss(logits, batch.labels), len(batch.labels))

    def figures(self, net: Decoder, examples: Windows) -> dict[str, float]:
        """Return nats per token, perplexity, and bits per byte of the text, which tokenizers can be compared by."""
        nats, n_tokens = 0.0, 0
        for batch in batches(self, examples, _AT_ONCE):
            loss = self.loss(net, batch)
            nats, n_tokens = nats + loss.plain.item(), n_tokens + loss.n_units
        mean = nats / n_tokens
        perplexity = torch.tensor(mean, dtype=torch.float64).exp().item()  # infinity beyond the range of floats
        return {"loss": mean, "perplexity": perplexity, "bits_per_byte": nats / math.log(2) / examples.n_bytes}
