"""Translation: pairs of strings become batches, batches a loss, ids strings again."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from qkv.base.errors import ShapeError
from qkv.data.pairs import Pair
from qkv.models.family import EncoderDecoder
from qkv.ops.losses import token_loss
from qkv.tasks.codec import Codec
from qkv.tasks.objective import Loss, Objective, Watch


class Example(NamedTuple):
    """One pair as ids: the source ends with the end token, the target begins with the start and ends with the end."""

    source: list[int]
    target: list[int]


class Batch(NamedTuple):
    """Pairs side by side, padded on the right; `target` is what the decoder reads, `labels` what it should say."""

    source: Int[Tensor, "b s"]
    source_mask: Bool[Tensor, "b s"]
    target: Int[Tensor, "b t"]
    labels: Int[Tensor, "b t"]
    label_mask: Bool[Tensor, "b t"]


class Translation(Objective):
    """The objective of Sutskever et al. 2014 and all that followed: predict each target token from source and prefix.

    cfg: the net's configuration, for its special ids and its longest input. smoothing: of the labels.
    """

    unit, watch = "tokens", Watch("loss", "lower")

    def __init__(self, source: Codec, target: Codec, cfg: Any, *, smoothing: float = 0.0) -> None:
        self.source, self.target, self.cfg, self.smoothing = source, target, cfg, smoothing

    def encode_source(self, text: str) -> list[int]:
        """Return a source as the net reads it; an input longer than the net's positions raises ShapeError."""
        return self._fit([*self.source.encode(text).ids, self.cfg.end_id])

    def encode(self, pair: Pair) -> Example:
        """Return a pair as ids; a side longer than the net's positions raises ShapeError."""
        target = [self.cfg.start_id, *self.target.encode(pair.target).ids, self.cfg.end_id]
        return Example(self.encode_source(pair.source), self._fit(target))

    def _fit(self, ids: list[int]) -> list[int]:
        if len(ids) > self.cfg.max_len:
            raise ShapeError(
                f"Input has {len(ids)} tokens; this model has {self.cfg.max_len} positions. Shorten or split it."
            )
        return ids

    def length(self, example: Example) -> int:
        """Return the tokens of the longer side: what a batch is padded to."""
        return max(len(example.source), len(example.target))

    def sources(self, ids: Sequence[list[int]]) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"]]:
        """Return encoded sources side by side, and which places are real."""
        return self._pad(ids)

    def batch(self, examples: Sequence[Example]) -> Batch:
        """Return encoded pairs side by side."""
        target, mask = self._pad([example.target for example in examples])
        return Batch(*self._pad([example.source for example in examples]), target[:, :-1], target[:, 1:], mask[:, 1:])

    def loss(self, net: EncoderDecoder, batch: Batch) -> Loss:
        """Return the loss of a batch with teacher forcing."""
        logits = net(batch.source, batch.target, batch.source_mask, batch.label_mask)
        labels = batch.labels[batch.label_mask]
        return Loss(*token_loss(logits, labels, smoothing=self.smoothing), len(labels))

    def figures(self, net: EncoderDecoder, examples: Sequence[Example]) -> dict[str, float]:
        """Return the cross-entropy per target token, in nats, without label smoothing."""
        order = sorted(examples, key=self.length)
        total, count = 0.0, 0
        for begin in range(0, len(order), 64):
            loss = self.loss(net, self.batch(order[begin : begin + 64]))
            total, count = total + loss.plain.item(), count + loss.n_units
        return {"loss": total / count}

    def decode(self, ids: Sequence[int]) -> str:
        """Return the target string of generated ids."""
        return self.target.decode([i for i in ids if i != self.cfg.end_id])

    def _pad(self, rows: Sequence[list[int]]) -> tuple[Int[Tensor, "b t"], Bool[Tensor, "b t"]]:
        longest = max(map(len, rows))
        padded = [row + [self.cfg.pad_id] * (longest - len(row)) for row in rows]
        lengths = torch.tensor([len(row) for row in rows])
        return torch.tensor(padded), torch.arange(longest) < lengths[:, None]
