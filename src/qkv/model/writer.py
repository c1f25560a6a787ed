"""A model that goes on with a text; with a head for labels it labels texts, and it turns texts into vectors."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.generation.engine import generate
from qkv.generation.outputs import Hypothesis
from qkv.generation.sampling import Sampling
from qkv.model.core import Model
from qkv.model.lengths import average, read_texts
from qkv.model.reader import Label, rank_labels
from qkv.model.translator import check_texts
from qkv.text.public import Encoding, TextTokenizer

BATCH = 16


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
