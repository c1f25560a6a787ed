"""A source and its translation, as a page shows them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qkv.base.errors import DataError
from qkv.data.pairs import Pair, token_links
from qkv.generation.outputs import Hypothesis, special_tokens
from qkv.generation.search import Beam, walk_beams
from qkv.inside.contents import Beams, Found, Gold, Output
from qkv.inside.shown import Shown
from qkv.inside.streams import Span, TextStream, text_stream
from qkv.model.shown import list_steps, shorten, split_texts

START, END = "<s>", "</s>"


def show_pair(model: Any, given: Any, target: str | None, n_tokens: int | None, beams: int) -> Shown:
    """Show a source and its translation: the target that is given, or else the best that is found.

    Rows are the tokens as they are written; what the decoder had read by then is a stream of its own, "prefix". Gold
    links come with a Pair, if the translation is its target.
    """
    pair = given if isinstance(given, Pair) else None
    text, second = (pair.source, None) if pair else split_texts(given)
    target = second if target is None else target
    if not text.strip():
        raise DataError("The source is empty: give a sentence to look at.")
    task, cfg = model.task, model.net.cfg
    source_ids = task.encode_source(text)
    source, mask = task.sources([source_ids])
    ranked: list[Hypothesis] = []
    if target is None:
        room = min(n_tokens or 2 * len(source_ids) + 20, cfg.max_len)
        ranked = _search(model, source, mask, beams, room)
        written = ranked[0].ids
    else:
        written = [*model.target.encode(target).ids, cfg.end_id]
    said = task.decode(written) if target is None else target
    read = torch.tensor([[cfg.start_id, *written[:-1]]])

    def say(logits: Tensor) -> tuple[Output, ...]:
        found = tuple(Found(text=task.decode(one.ids), score=one.score, tokens=_name(model, one.ids)) for one in ranked)
        steps = list_steps(logits[0], written, 0, lambda ids: list(_name(model, ids)))
        return (*steps, *((Beams(hypotheses=found),) if found else ()))

    return Shown(
        title=shorten(text),
        streams=(_source(model, text), *_targets(model, said, written, searched=bool(ranked))),
        run=lambda: model.net(source, read, mask),
        say=say,
        gold=_gold(model, pair, said),
    )


def _search(model: Any, source: Tensor, mask: Tensor, beams: int, room: int) -> list[Hypothesis]:
    """Return all outputs that a search finds, best first."""
    special = special_tokens(model.net, None, None)
    beam = Beam(0, room, beams, 1.0, special.ends)
    with torch.inference_mode():
        walk_beams(model.net, lambda **how: model.net.begin(source, mask, **how), [beam], special.never)
    return beam.ranked()


def _source(model: Any, text: str) -> TextStream:
    """Return the source with the token that ends it."""
    spans = [*model.source.encode(text).spans, (len(text), len(text))]
    special = [False] * (len(spans) - 1) + [True]
    return text_stream("source", text, [*model.source.pieces(text), END], spans, special)


def _targets(model: Any, text: str, written: list[int], *, searched: bool) -> tuple[TextStream, TextStream]:
    """Return the tokens that were written, and those that were read before each of them."""
    tokens, special = _name(model, written), [i == model.net.cfg.end_id for i in written]
    spans, end = [], 0
    for i in range(1, len(written) + 1):
        last, end = end, max(end, min(len(text), len(model.task.decode(written[:i]))))
        spans.append((last + len(text[last:end]) - len(text[last:end].lstrip()), end))
    target = text_stream("target", text, tokens, spans, special, generated=0 if searched else None)
    first: Span = (0, 0)
    return target, text_stream("prefix", text, [START, *tokens[:-1]], [first, *spans[:-1]], [True, *special[:-1]])


def _name(model: Any, ids: Sequence[int]) -> tuple[str, ...]:
    """Return each token as people read it."""
    cfg = model.net.cfg
    names = {cfg.end_id: END, cfg.start_id: START}
    return tuple(names.get(i) or _readable(model.target.decode([i])) for i in ids)


def _readable(token: str) -> str:
    return token.removeprefix(" ") or token


def _gold(model: Any, pair: Pair | None, target: str) -> tuple[Gold, ...]:
    if pair is None or not pair.links or target != pair.target:
        return ()
    links = token_links(pair.links, model.source.encode(pair.source).spans, model.target.encode(target).spans)
    return (Gold(query="target", key="source", links=tuple(sorted(links))),)
