"""Translate texts with a trained or loaded model, and show what the decoder looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from qkv.base.errors import UnsupportedError
from qkv.evaluation.translation import Translated, cross_maps
from qkv.inside.figures import Alignment
from qkv.model import Model, Translator, load

END = "</s>"


@dataclass(frozen=True, slots=True)
class Translation:
    """A source, its translation, and (if asked for) the alignment that lay behind it."""

    source: str
    text: str
    score: float
    alignment: Alignment | None = None


def translate(
    model: Translator | Path | str,
    texts: Sequence[str],
    *,
    beams: int = 4,
    length_penalty: float = 1.0,
    max_tokens: int | None = None,
    alignment: bool = False,
    dtype: Literal["fp32", "bf16"] = "fp32",
) -> list[Translation]:
    """Translate each text; with `alignment`, of the head that the model's card names, or the mean of the last layer.

    dtype: "bf16" packs the net for inference in bfloat16 first: faster, and worth it for more than a few sentences.
    """
    model = open_translator(model, dtype)
    if alignment and not cross_maps(model.net):
        raise UnsupportedError("This model reads its source as one fixed context: there is no alignment to show.")
    done = model.translate(texts, beams=beams, length_penalty=length_penalty, max_tokens=max_tokens, weights=alignment)
    return [
        Translation(text, one.text, one.score, align(model, text, one) if alignment else None)
        for text, one in zip(texts, done, strict=True)
    ]


def open_model(model: Model | Path | str, dtype: Literal["fp32", "bf16"]) -> Model:
    """Return a model by its folder or as it is, in the type that it shall compute in."""
    model = model if isinstance(model, Model) else load(model)
    return model.packed("bf16") if dtype == "bf16" else model


def open_translator(model: Model | Path | str, dtype: Literal["fp32", "bf16"]) -> Translator:
    """Return a model as `open_model` does, if it is one that translates."""
    model = open_model(model, dtype)
    if not isinstance(model, Translator):
        raise UnsupportedError(
            f"A {model.family.name} model does not translate: give one that qkv train made, or Marian's."
        )
    return model


def align(model: Translator, source: str, done: Translated) -> Alignment:
    """Return the alignment behind a translation made with `weights=True`; the columns end with the end token."""
    layers = done.weights or {}
    layer, head = model.card.get("alignment_head", (max(layers), None))
    weights = layers[layer].mean(0) if head is None else layers[layer][head]
    target = [END if i == model.net.cfg.end_id else model.target.decode([i]) for i in done.ids]
    return Alignment(weights, [*model.source.pieces(source), END], target)
