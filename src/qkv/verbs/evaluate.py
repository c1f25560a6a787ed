"""Score a translator on pairs it has not seen."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from qkv.data.parallel import read_pairs
from qkv.data.translation import N_HELD_OUT, cldr_pairs
from qkv.evaluation.translation import Report, score_translations
from qkv.model import Translator
from qkv.verbs.settings import refuse_idle
from qkv.verbs.translate import open_translator


def evaluate(
    model: Translator | Path | str,
    data: str,
    *,
    source: str | None = None,
    target: str | None = None,
    items: str | None = None,
    n_examples: int = N_HELD_OUT,
    beams: int = 4,
    length_penalty: float = 1.0,
    on_bad: Literal["raise", "skip"] = "raise",
    dtype: Literal["fp32", "bf16"] = "fp32",
) -> Report:
    """Translate the test pairs of `data` (a parallel file, or cldr:dates and the like) and score them.

    Locales and items of a built-in set are those the model was trained on, unless given. dtype: as for `translate`.
    """
    refuse_idle(data, {"source": source, "target": target, "items": items})
    model, left_out = open_translator(model, dtype), 0
    if data.startswith("cldr:"):
        card = {"source": "en", "target": "fr", "items": "1-1", **model.card}
        pairs = cldr_pairs(
            data,
            source=source or card["source"],
            target=target or card["target"],
            items=items or card["items"],
            split="test",
            n=n_examples,
        )
    else:
        pairs, reading = read_pairs(data, on_bad=on_bad)
        left_out = len(reading.dropped)
    report, _ = score_translations(model.net, model.task, pairs, beams=beams, length_penalty=length_penalty)
    return replace(report, left_out=left_out)
