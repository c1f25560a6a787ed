"""What all kinds of model share that lay out an input for a page."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from qkv.base.errors import ConfigError
from qkv.inside.contents import Chance, Labels, Output, Step, Steps
from qkv.model.labels import rank_labels

N_BEST, LONGEST = 10, 60
Name = Callable[[list[int]], list[str]]


def split_texts(given: Any) -> tuple[str, str | None]:
    """Return a text, or the two of a pair, or refuse what is neither."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or len(texts) not in (1, 2) or not all(isinstance(x, str) for x in texts):
        raise ConfigError(f"This model reads a text or a pair of texts; {type(given).__name__} was given.")
    return texts[0], texts[1] if len(texts) == 2 else None


def shorten(text: str) -> str:
    """Return a title of at most LONGEST characters."""
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rstrip() + "…"


def list_likeliest(logits: Tensor, name: Name) -> list[tuple[Chance, ...]]:
    """Return the N_BEST likeliest tokens of each row of logits."""
    values, ids = logits.float().softmax(-1).topk(min(N_BEST, logits.size(-1)))
    rows = zip(ids.tolist(), values.tolist(), strict=True)
    return [tuple(zip(name(row), chances, strict=True)) for row, chances in rows]


def list_steps(logits: Tensor, written: list[int], first: int, name: Name) -> tuple[Output, ...]:
    """Return each token that was written with the likeliest ones there; nothing where none was."""
    if not written:
        return ()
    rows = zip(name(written), written, list_likeliest(logits, name), strict=True)
    return (Steps(first=first, steps=tuple(Step(token=token, id=i, top=top) for token, i, top in rows)),)


def say_labels(model: Any, logits: Tensor) -> tuple[Output, ...]:
    """Return the labels of a model with a head for them; nothing for other heads."""
    if model.net.cfg.head != "classify":
        return ()
    (ranked,) = rank_labels(model.labels, logits.float().softmax(-1))
    return (Labels(labels=tuple((one.label, one.probability) for one in ranked)),)
