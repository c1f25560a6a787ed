"""A stand-in tokenizer and tiny nets, with which objectives are tested."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qkv.base import seeds
from qkv.base.errors import ShapeError
from qkv.models import get_size
from qkv.models.family import Decoder, PictureNet
from qkv.training.loop import Training
from qkv.training.recipe import Recipe

PAD, MASK, START, END, N_SPECIAL = 0, 1, 2, 3, 4


@dataclass
class Encoding:
    ids: list[int]
    segments: list[int]
    spans: list[tuple[int, int]]
    words: list[int | None]
    special: list[bool]


class Pieces:
    """Cuts words into pieces of up to three letters; an id is a hash of the piece."""

    vocab_size, pad_id, mask_id, start_id, end_id = 60, PAD, MASK, START, END

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        special: bool = True,
        max_len: int | None = None,
        truncate: bool = False,
        stride: int = 0,
    ) -> Encoding:
        found = Encoding([], [], [], [], [])
        if special:
            self._add(found, START, 0)
        for segment, part in enumerate([text] if pair is None else [text, pair]):
            for number, word in enumerate(re.finditer(r"\S+", part)):
                for piece in re.finditer(r"\S{1,3}", word[0]):
                    i = N_SPECIAL + seeds.mix(piece[0]) % (self.vocab_size - N_SPECIAL)
                    start = word.start() + piece.start()
                    self._add(found, i, segment, (start, start + len(piece[0])), number)
            if special:
                self._add(found, END, segment)
        if max_len is not None and len(found.ids) > max_len:
            if not truncate:
                raise ShapeError(f"Input has {len(found.ids)} tokens; this model has {max_len} positions.")
            for one in (found.ids, found.segments, found.spans, found.words, found.special):
                del one[max_len:]
        return found

    @staticmethod
    def _add(found: Encoding, i: int, segment: int, span: tuple[int, int] = (0, 0), word: int | None = None) -> None:
        found.ids.append(i)
        found.segments.append(segment)
        found.spans.append(span)
        found.words.append(word)
        found.special.append(word is None)

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))


class Reader(Decoder):
    """A recurrent net that goes on with a text, or labels it by its last token."""

    def __init__(self, cfg: Any, *, n_labels: int = 0) -> None:
        super().__init__()
        self.cfg = cfg
        self.token, self.rnn = nn.Embedding(cfg.vocab_size, 16), nn.GRU(16, 24, batch_first=True)
        self.out, self.n_labels = nn.Linear(24, n_labels or cfg.vocab_size), n_labels

    def forward(self, ids: Tensor, mask: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        x = self.rnn(self.token(ids))[0]
        if self.n_labels:
            last = torch.full((len(ids),), ids.size(1) - 1) if mask is None else mask.sum(1) - 1
            return self.out(x[torch.arange(len(ids)), last])
        return self.out(x if keep is None else x[keep])


class Looker(PictureNet):
    """Labels a picture by all of its pixels."""

    def __init__(self, cfg: Any, n_pixels: int) -> None:
        super().__init__()
        self.cfg, self.out = cfg, nn.Linear(n_pixels, cfg.n_labels)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.out(pictures.flatten(1))


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What objectives read of a net's configuration."""

    vocab_size: int = Pieces.vocab_size
    max_len: int = 16
    n_labels: int = 2


def tiny_bert(head: str, **changes: Any) -> Any:
    family, cfg = get_size("bert-tiny")
    widths = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 24, "max_len": 16, "dropout": 0.0}
    return family.net(replace(cfg, vocab_size=Pieces.vocab_size, head=head, **widths | changes))


def learn(net: Any, task: Any, examples: Sequence[Any], folder: Path, **recipe: Any) -> Training:
    """Return a short training whose validation data are its own examples."""
    settings: dict[str, Any] = {"steps": 12, "budget": 64, "lr": 1e-2, "warmup": 2, "log_every": 1, "seed": 3}
    settings |= {"validate_every": 4, "checkpoint_every": 4} | recipe
    folder.mkdir(exist_ok=True)
    return Training(net, task, examples, Recipe(**settings), folder, lambda net: task.figures(net, examples))
