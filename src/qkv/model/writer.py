"""A model that goes on with a text; with a head for labels it labels texts, and it turns texts into vectors."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.generation.engine import generate
from qkv.generation.outputs import Hypothesis
from qkv.generation.sampling import Sampling
from qkv.inside.contents import Output
from qkv.inside.shown import Shown
from qkv.inside.streams import Span, text_stream
from qkv.model.core import Model
from qkv.model.labels import Label, rank_labels
from qkv.model.lengths import average, read_texts
from qkv.model.shown import list_steps, say_labels, shorten, split_texts
from qkv.model.translator import check_texts
from qkv.text.public import Encoding, TextTokenizer

BATCH, N_TOKENS, CONTEXT = 16, 20, 8


@dataclass
class Writer(Model):
    """A decoder of texts with its tokenizer."""

    tokenizer: TextTokenizer

    def generate(
        self,
        prompts: Sequence[str],
        *,
        n_tokens: int = 40,
        bos: bool = False,
        sampling: Sampling | None = None,
        beams: int = 1,
        length_penalty: float = 1.0,
        stop: Sequence[str] = (),
        stream: Callable[[int, list[int], str], None] | None = None,
    ) -> list[Hypothesis]:
        """Go on with each prompt for at most `n_tokens` tokens; `text` of what comes back is what was written.

        bos: let an empty prompt begin with the token that starts a text. Without `sampling` the likeliest token is
        taken, or with `beams` the likeliest output is searched for. The rest is as in `generation.engine.generate`.
        """
        if self.net.cfg.head != "lm":
            raise UnsupportedError(f"This {self.family.name} has no head for tokens: it cannot generate.")
        if isinstance(prompts, str):
            raise ConfigError("generate takes a list of prompts; put this one prompt into a list.")
        ids, mask = self._lay([self._prompt(text, bos) for text in prompts])
        return generate(
            self.net,
            ids,
            mask,
            room=n_tokens,
            end_ids={*self.net.cfg.end_ids, self.tokenizer.end_id} - {None},
            sampling=sampling,
            beams=beams,
            length_penalty=length_penalty,
            stop=stop,
            decode=self.tokenizer.decode,
            stream=stream,
        )

    def predict(self, texts: Sequence[str], *, truncate: bool = False, stride: int | None = None) -> list[list[Label]]:
        """Return the labels of each text, likeliest first; long texts are treated as a Reader's are."""
        if self.net.cfg.head != "classify":
            raise UnsupportedError(f"This {self.family.name} has no head for labels: fine-tune it with qkv finetune.")
        check_texts(texts, "predict")
        encoded, owners = read_texts(self, texts, None, truncate=truncate, stride=stride)
        with torch.inference_mode():
            found = [self.net(*batch).float().softmax(-1) for batch in self._batches(encoded)]
        return rank_labels(self.labels, average(torch.cat(found), owners)) if found else []

    def embed(self, texts: Sequence[str], *, truncate: bool = False, stride: int | None = None) -> Float[Tensor, "b m"]:
        """Return one vector per text: the state of its last token, the only one that saw the whole.

        Long texts are treated as a Reader's are.
        """
        check_texts(texts, "embed")
        encoded, owners = read_texts(self, texts, None, truncate=truncate, stride=stride)
        found = [torch.empty(0, self.net.cfg.d_model)]
        with torch.inference_mode():
            found += [self.net.summary(self.net.encode(*batch), batch[1]).float() for batch in self._batches(encoded)]
        return average(torch.cat(found), owners)

    def show_input(self, given: Any, *, n_tokens: int | None = None, **_: Any) -> Shown:
        """Lay out a text and what the model goes on with, at most N_TOKENS tokens unless told, as a page shows them.

        What is new is written first; the pass is over the whole. It has the numbers of the steps, since a cache
        changes none, and the rows of the prompt, too.
        """
        text, pair = split_texts(given)
        if pair is not None:
            raise ConfigError("A decoder goes on with one text; two were given.")
        encoded, cfg = self.tokenizer.encode(text), self.net.cfg
        first, writes = len(encoded.ids), cfg.head == "lm"
        if not first:
            raise ShapeError("The text is empty: give one to look at.")
        room = max(0, min(N_TOKENS, cfg.max_len - first)) if n_tokens is None else n_tokens
        (found,) = self.generate([text], n_tokens=room) if room and writes else [None]
        written, more = (found.ids, found.text) if found else ([], "")
        ends = {*cfg.end_ids, self.tokenizer.end_id} if writes else set()
        stream = text_stream(
            "text",
            text + more,
            self.tokenizer.pieces([*encoded.ids, *written]),
            [*encoded.spans, *self._written_spans(encoded.ids, written, len(text), len(more))],
            [*encoded.special, *(i in ends for i in written)],
            generated=first if written else None,
        )
        ids = torch.tensor([[*encoded.ids, *written]])
        keep = torch.zeros_like(ids, dtype=torch.bool)
        keep[0, first - 1 : first - 1 + max(1, len(written))] = True

        def say(logits: Tensor) -> tuple[Output, ...]:
            return list_steps(logits, written, first, self.tokenizer.pieces) if writes else say_labels(self, logits)

        run = (lambda: self.net(ids, None, keep)) if writes else (lambda: self.net(ids))
        return Shown(title=shorten(text), streams=(stream,), run=run, say=say)

    def _written_spans(self, prompt: list[int], written: list[int], start: int, n: int) -> list[Span]:
        """Return which characters each token stands for that was written, n in all from `start` on."""
        context, spans, end = prompt[-CONTEXT:], [], 0
        before = len(self.tokenizer.decode(context))
        for i in range(1, len(written) + 1):
            last, end = end, max(end, min(n, len(self.tokenizer.decode([*context, *written[:i]])) - before))
            spans.append((start + last, start + end))
        return spans

    def _prompt(self, text: str, bos: bool) -> list[int]:
        ids = self.tokenizer.encode(text).ids
        if not ids and bos:
            start = self.tokenizer.end_id if self.tokenizer.start_id is None else self.tokenizer.start_id
            ids = [] if start is None else [start]
        if not ids:
            raise ShapeError("Prompt is empty: give text, or --bos.")
        return ids

    def _batches(self, encoded: Sequence[Encoding]) -> Iterator[tuple[Tensor, Tensor]]:
        for i in range(0, len(encoded), BATCH):
            yield self._lay([one.ids for one in encoded[i : i + BATCH]])

    def _lay(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """Lay texts side by side, padded on the left."""
        longest = max(map(len, rows), default=0)
        padded = [[0] * (longest - len(row)) + row for row in rows]
        mask = [[False] * (longest - len(row)) + [True] * len(row) for row in rows]
        return torch.tensor(padded, dtype=torch.long), torch.tensor(mask, dtype=torch.bool)

    def _save_codec(self, folder: Path) -> Sequence[str]:
        return self.tokenizer.save(folder)
