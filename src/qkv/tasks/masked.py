"""Masked language modelling: some tokens of a text are hidden and predicted from all others.

Devlin et al. 2019, section 3.1 and appendix A.1 (https://arxiv.org/abs/1810.04805); other tokens are hidden each time
a text is seen, as in Liu et al. 2019, section 4.1 (https://arxiv.org/abs/1907.11692).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from qkv.base import seeds
from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.models.family import Encoder
from qkv.ops.losses import token_loss
from qkv.tasks.codec import TextCodec
from qkv.tasks.objective import Loss, Objective, Watch, batches

MASK, RANDOM = 0.8, 0.1  # of the hidden tokens; the rest stays as it is
_AT_ONCE = 4096


class Passage(NamedTuple):
    """A piece of a document: its ids, and the group that each is hidden with, from 0; -1 for special tokens."""

    ids: Int[Tensor, "t"]
    groups: Int[Tensor, "t"]


class Hidden(NamedTuple):
    """A passage as it is seen once: ids with some replaced, the ids as they were, and which places to predict."""

    ids: Int[Tensor, "t"]
    truth: Int[Tensor, "t"]
    chosen: Bool[Tensor, "t"]


class Batch(NamedTuple):
    """Passages side by side, padded on the right; mask is None where none is padded; labels: of what `keep` marks."""

    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"] | None
    keep: Bool[Tensor, "b t"]
    labels: Int[Tensor, "n"]


class Masked(Objective):
    """Predict hidden tokens: of ten, eight show as the mask token, one as a random one, one as itself.

    window: tokens of a passage with its special ones, the net's `max_len` unless given. share: of the tokens, how many
    are hidden, at least one. whole_words: hide all pieces of a word or none.
    """

    unit, watch = "masked tokens", Watch("loss", "lower")

    def __init__(
        self,
        tokenizer: TextCodec,
        cfg: Any,
        *,
        window: int | None = None,
        share: float = 0.15,
        whole_words: bool = True,
    ) -> None:
        self.tokenizer, self.window = tokenizer, window or cfg.max_len
        self.share, self.whole_words = share, whole_words
        if not 3 <= self.window <= cfg.max_len:
            raise ConfigError(f"A window of {self.window} tokens does not fit: it must be 3 to {cfg.max_len}.")
        if not 0 < share < 1:
            raise ConfigError(f"The share of hidden tokens is {share}; it must be above 0 and below 1.")
        special = (tokenizer.mask_id, tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id)
        if None in special:
            raise UnsupportedError("This tokenizer has no mask, start, end or padding token: it is not made for this.")
        self.mask_id, self.start_id, self.end_id, self.pad_id = (int(i) for i in special if i is not None)
        self.plain = torch.tensor(sorted({*range(tokenizer.vocab_size)} - {*special}))

    def encode(self, documents: Iterable[str]) -> list[Passage]:
        """Return documents as passages, cut between words; none holds parts of two documents."""
        passages, special = [], {self.mask_id, self.start_id, self.end_id, self.pad_id}
        for document in documents:
            encoded = self.tokenizer.encode(document, special=False)
            words = [
                -1 if word is None or i in special else word for i, word in zip(encoded.ids, encoded.words, strict=True)
            ]
            for begin, end in _cuts(words, self.window - 2):
                ids = [self.start_id, *encoded.ids[begin:end], self.end_id]
                groups = [-1, *self._group(words[begin:end]), -1]
                if max(groups) >= 0:  # a text may be nothing but special tokens
                    passages.append(Passage(torch.tensor(ids), torch.tensor(groups)))
        if not passages:
            raise DataError("There is no text to learn from.")
        return passages

    def length(self, example: Passage) -> int:
        """Return the tokens of a passage."""
        return len(example.ids)

    def vary(self, example: Passage, *name: int | str) -> Hidden:
        """Hide some tokens; which ones, and behind what, depends only on the name."""
        draw = seeds.generator("mask", *name)
        chosen = self._choose(example.groups, draw)
        places = chosen.nonzero()[:, 0]
        fate = torch.rand(len(places), generator=draw)
        others = self.plain[torch.randint(len(self.plain), (len(places),), generator=draw)]
        ids = example.ids.clone()
        kept = torch.where(fate < MASK + RANDOM, others, ids[places])
        ids[places] = torch.where(fate < MASK, self.mask_id, kept)
        return Hidden(ids, example.ids, chosen)

    def _group(self, words: Sequence[int]) -> list[int]:
        """Number words, or single tokens, from 0."""
        numbers: dict[int, int] = {}
        names = words if self.whole_words else [-1 if word < 0 else i for i, word in enumerate(words)]
        return [-1 if name < 0 else numbers.setdefault(name, len(numbers)) for name in names]

    def _choose(self, groups: Int[Tensor, "t"], draw: torch.Generator) -> Bool[Tensor, "t"]:
        """Choose groups in a random order as long as they fit into the share, at least one; special tokens never."""
        sizes = (groups + 1).bincount().tolist()[1:]
        order = torch.randperm(len(sizes), generator=draw).tolist()
        left, picked = max(1, round(self.share * sum(sizes))), []
        for group in order:
            if sizes[group] <= left:
                picked.append(group)
                left -= sizes[group]
                if not left:
                    break
        among = torch.zeros(len(sizes) + 1, dtype=torch.bool)
        among[picked or order[:1]] = True
        return among[groups]  # -1 reads the last place, which is never picked

    def batch(self, examples: Sequence[Hidden]) -> Batch:
        """Return passages side by side."""
        lengths = torch.tensor([len(example.ids) for example in examples])
        shape = (len(examples), int(lengths.max()))
        ids, keep = torch.full(shape, self.pad_id), torch.zeros(shape, dtype=torch.bool)
        for row, kept, example in zip(ids, keep, examples, strict=True):
            row[: len(example.ids)], kept[: len(example.ids)] = example.ids, example.chosen
        mask = torch.arange(shape[1]) < lengths[:, None]
        labels = torch.cat([example.truth[example.chosen] for example in examples])
        return Batch(ids, None if mask.all() else mask, keep, labels)

    def loss(self, net: Encoder, batch: Batch) -> Loss:
        """Return the loss of a batch; logits are made for hidden tokens alone."""
        logits = net(batch.ids, batch.mask, keep=batch.keep)
        return Loss(*token_loss(logits, batch.labels), len(batch.labels))

    def figures(self, net: Encoder, examples: Sequence[Passage]) -> dict[str, float]:
        """Return nats per hidden token, and the share of them that the net knows."""
        nats, right, count = 0.0, 0, 0
        for batch in batches(self, examples, _AT_ONCE):
            logits = net(batch.ids, batch.mask, keep=batch.keep)
            nats += token_loss(logits, batch.labels)[1].item()
            right += int((logits.argmax(-1) == batch.labels).sum())
            count += len(batch.labels)
        return {"loss": nats / count, "accuracy": right / count}


def _cuts(words: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Yield where passages begin and end: as long as there is room, cut within a word only if that is longer."""
    begin = 0
    while begin < len(words):
        end = min(begin + room, len(words))
        while begin < end < len(words) and words[end] == words[end - 1] >= 0:
            end -= 1
        end = end if end > begin else begin + room
        yield begin, end
        begin = end
