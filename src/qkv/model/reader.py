"""A model that reads texts from both sides: it fills gaps, labels texts and tokens, turns texts into vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from qkv.base.errors import DataError, UnsupportedError
from qkv.generation.outputs import check_eval
from qkv.inside.contents import Gap, Gaps, Output
from qkv.inside.shown import Shown
from qkv.inside.streams import Span, text_stream
from qkv.model.batches import answer, batches, encode
from qkv.model.core import Model
from qkv.model.labels import Label, rank_labels
from qkv.model.lengths import average, read_texts
from qkv.model.shown import list_likeliest, say_labels, shorten, split_texts
from qkv.model.translator import check_texts
from qkv.text.public import Encoding, TextTokenizer


class Guess(NamedTuple):
    """One token for a gap, its probability, and the text with it."""

    token: str
    probability: float
    text: str


@dataclass
class Reader(Model):
    """An encoder of texts with its tokenizer."""

    tokenizer: TextTokenizer

    def fill(self, text: str, *, top: int = 5) -> list[list[Guess]]:
        """Return for each gap in a text, "[MASK]" or "<mask>" as the model writes it, the likeliest tokens.

        Raises DataError if the text has no gap, UnsupportedError if the model was not made to fill them.
        """
        if self.net.cfg.head not in ("mlm", "pretraining") or self.tokenizer.mask_id is None:
            raise UnsupportedError(f"This {self.family.name} has no head for masked tokens: it cannot fill gaps.")
        check_eval(self.net)
        encoded = self.tokenizer.encode(text, max_len=self.net.cfg.max_len)
        gaps = [i for i, token in enumerate(encoded.ids) if token == self.tokenizer.mask_id]
        if not gaps:
            (mask,) = self.tokenizer.pieces([self.tokenizer.mask_id])
            raise DataError(f"There is no {mask} in the text: put it where a word is to be guessed.")
        ids = torch.tensor([encoded.ids])
        keep = ids == self.tokenizer.mask_id
        with torch.inference_mode():
            logits = self.net(ids, None, torch.tensor([encoded.segments]), keep)
        found = logits.float().softmax(-1).topk(min(top, logits.size(-1)))
        return [
            [self._guess(encoded, gap, token, value) for token, value in zip(tokens, values, strict=True)]
            for gap, tokens, values in zip(gaps, found.indices.tolist(), found.values.tolist(), strict=True)
        ]

    def predict(
        self,
        texts: Sequence[str],
        pairs: Sequence[str] | None = None,
        *,
        truncate: bool = False,
        stride: int | None = None,
    ) -> list[list[Label]]:
        """Return the labels of each text, or of each text with its pair, likeliest first.

        truncate, stride: as in `model.lengths.read_texts`; pieces of a text agree on the mean of their probabilities.
        """
        if self.net.cfg.head != "classify":
            raise UnsupportedError(f"This {self.family.name} has no head for labels: fine-tune it with qkv finetune.")
        check_texts(texts, "predict")
        encoded, owners = read_texts(self, texts, pairs, truncate=truncate, stride=stride)
        with torch.inference_mode():
            said = (answer(self.net, batch) for batch in batches(encoded, self.net.cfg.pad_id))
            found = [logits.float().softmax(-1) for logits in said]
        return rank_labels(self.labels, average(torch.cat(found), owners)) if found else []

    def embed(
        self,
        texts: Sequence[str],
        *,
        pooling: Literal["mean", "first"] = "mean",
        truncate: bool = False,
        stride: int | None = None,
    ) -> Float[Tensor, "b m"]:
        """Return one vector per text: the mean of its tokens' states, or the state of the first.

        truncate, stride: as in `model.lengths.read_texts`; of the pieces of a text the mean is returned.
        """
        check_texts(texts, "embed")
        encoded, owners = read_texts(self, texts, None, truncate=truncate, stride=stride)
        vectors = [torch.empty(0, self.net.cfg.d_model)]
        with torch.inference_mode():
            for batch in batches(encoded, self.net.cfg.pad_id):
                states, mask = encode(self.net, batch).float(), batch.mask
                weight = mask[..., None] if pooling == "mean" else (mask.cumsum(1) == 1)[..., None] & mask[..., None]
                vectors += [(states * weight).sum(1) / weight.sum(1)]
        return average(torch.cat(vectors), owners)

    def show_input(self, given: Any, **_: Any) -> Shown:
        """Lay out a text, or two texts, which stand one under the other, as a page shows them."""
        text, pair = split_texts(given)
        encoded = self.tokenizer.encode(text, pair, max_len=self.net.cfg.max_len)
        stream = text_stream(
            "text",
            text if pair is None else f"{text}\n{pair}",
            self.tokenizer.pieces(encoded.ids),
            encoded.spans if pair is None else _move_second(encoded, len(text) + 1),
            encoded.special,
        )
        ids, segments = torch.tensor([encoded.ids]), torch.tensor([encoded.segments])
        hidden = ids == (-1 if self.tokenizer.mask_id is None else self.tokenizer.mask_id)
        gaps = hidden[0].nonzero().flatten().tolist() if self.net.cfg.head in ("mlm", "pretraining") else []

        def say(logits: Tensor) -> tuple[Output, ...]:
            if not gaps:
                return say_labels(self, logits)
            found = list_likeliest(logits, self.tokenizer.pieces)
            return (Gaps(gaps=tuple(Gap(at=at, top=top) for at, top in zip(gaps, found, strict=True))),)

        keep = (hidden,) if gaps else ()
        return Shown(title=shorten(text), streams=(stream,), run=lambda: self.net(ids, None, segments, *keep), say=say)

    def _guess(self, encoded: Encoding, gap: int, token: int, probability: float) -> Guess:
        filled = [*encoded.ids[:gap], token, *encoded.ids[gap + 1 :]]
        ids = [i for i, special in zip(filled, encoded.special, strict=True) if not special]
        return Guess(self.tokenizer.pieces([token])[0], probability, self.tokenizer.decode(ids, keep_special=True))

    def _save_codec(self, folder: Path) -> Sequence[str]:
        return self.tokenizer.save(folder)


def _move_second(encoded: Encoding, by: int) -> list[Span]:
    """Return the spans of a pair, those of the second text moved to where it stands."""
    special = encoded.special
    second = max(i for i in range(len(special) - 1) if special[i] and not special[i + 1])
    return [(a + by, b + by) if i > second and not special[i] else (a, b) for i, (a, b) in enumerate(encoded.spans)]
