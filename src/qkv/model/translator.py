"""A model that turns one text into another."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.evaluation.translation import Translated, translate_texts
from qkv.inside.shown import Shown
from qkv.model.core import Model
from qkv.model.shown_pair import show_pair
from qkv.tasks.codec import Codec
from qkv.tasks.translation import Translation
from qkv.text.sentencepiece import save_marian
from qkv.text.tokenizer import Tokenizer

TOKENIZER, SOURCE, TARGET = "tokenizer.json", "source.json", "target.json"


@dataclass
class Translator(Model):
    """An encoder-decoder with a tokenizer for each side."""

    source: Codec
    target: Codec

    @property
    def task(self) -> Translation:
        """Return the objective that speaks this model's tokens."""
        return Translation(self.source, self.target, self.net.cfg)

    def translate(
        self,
        texts: Sequence[str],
        *,
        beams: int = 4,
        length_penalty: float = 1.0,
        max_tokens: int | None = None,
        weights: bool = False,
    ) -> list[Translated]:
        """Return the translation of each text; with `weights`, also what the decoder looked at for each token."""
        check_texts(texts, "translate")
        return translate_texts(
            self.net,
            self.task,
            texts,
            beams=beams,
            length_penalty=length_penalty,
            max_tokens=max_tokens,
            weights=weights,
        )

    def show_input(
        self,
        given: Any,
        *,
        target: str | None = None,
        n_tokens: int | None = None,
        beams: int = 4,
        **_: Any,
    ) -> Shown:
        """Lay out a source and its translation, as `show_pair` says."""
        return show_pair(self, given, target, n_tokens, beams)

    def _save_codec(self, folder: Path) -> list[str]:
        if not isinstance(self.source, Tokenizer) or not isinstance(self.target, Tokenizer):
            raise UnsupportedError('SentencePiece tokenizers are saved with format="hf" only.')
        both = {TOKENIZER: self.source} if self.source is self.target else {SOURCE: self.source, TARGET: self.target}
        for name, tokenizer in both.items():
            tokenizer.save(folder / name)
        return list(both)

    def _save_public_codec(self, folder: Path, format: str) -> dict[str, Any]:
        save_marian(folder, self.source, self.target)
        return {}


def check_texts(texts: Sequence[str], verb: str) -> None:
    """Refuse one text where a list is wanted, and texts without a word."""
    if isinstance(texts, str):
        raise ConfigError(f"{verb} takes a list of texts; put this one text into a list.")
    for i, text in enumerate(texts):
        if not text.strip():
            raise DataError(f"Text {i + 1} of {len(texts)} is empty: give a sentence to {verb}.")
