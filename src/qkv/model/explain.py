"""From a model and one input to a trace: what it read, what it looked at, what it said."""

from collections.abc import Sequence
from typing import Any

from qkv.inside.look import look
from qkv.inside.trace import Trace
from qkv.model.core import Model


def explain(
    model: Model,
    given: Any,
    *,
    target: str | None = None,
    n_tokens: int | None = None,
    beams: int = 4,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    exact: bool = False,
    top: int = 16,
    qk: bool | None = None,
    name: str | None = None,
    random: bool | None = None,
) -> Trace:
    """Run a model over one input, and return a trace of it: the file behind the explorer's page.

    given: a text; a pair of texts, where the model reads such; a picture; a source, or a `Pair` with gold links, which
    is then translated, unless there is a `target`. n_tokens: how many tokens a decoder writes at most. layers, heads:
    those to keep, all unless given. exact: keep every weight, however many there are; else, where a page would become
    too large, the `top` largest of each row and a map of means. qk: keep queries, keys and values; unless given, where
    they are few. name: of the model, as `qkv.load` takes it. random: whether nothing was learned; unless given, the
    card says it, or norms that never moved.
    """
    with look(model, layers=layers, heads=heads, values=qk is not False) as seen:
        model(given, target, n_tokens=n_tokens, beams=beams)
    return seen.trace(name=name, random=random, exact=exact, top=top, qk=qk)
