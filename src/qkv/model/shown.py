"""One input as a page shows it: the tokens or patches that a net reads, a pass over them, and what the net says.

What a decoder writes is written first; then one pass over the whole text is what is watched. It has the numbers of the
steps, since a cache changes none, and the rows of the prompt, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from qkv.base.errors import ConfigError, ShapeError
from qkv.image.preprocessing import Preprocessing, Source, prepare
from qkv.inside.contents import Chance, Gap, Gaps, Gold, Labels, Output, Step, Steps
from qkv.inside.streams import Span, Stream, picture_stream, text_stream
from qkv.model.core import Model
from qkv.model.reader import Reader, rank_labels
from qkv.model.viewer import Viewer
from qkv.model.writer import Writer

N_TOKENS, N_BEST, CONTEXT, LONGEST = 20, 10, 8, 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """An input: its title and streams; `run` is one pass of the net over it, `say` tells what the answer means."""

    title: str
    streams: tuple[Stream, ...]
    run: Callable[[], Tensor]
    say: Callable[[Tensor], tuple[Output, ...]]
    gold: tuple[Gold, ...] = ()


def show_text(model: Reader, given: str | Sequence[str]) -> Shown:
    """Show a text, or two texts, which then stand one under the other."""
    text, pair = split_texts(given)
    tokenizer, head = model.tokenizer, model.net.cfg.head
    encoded = tokenizer.encode(text, pair, max_len=model.net.cfg.max_len)
    stream = text_stream(
        "text",
        text if pair is None else f"{text}\n{pair}",
        tokenizer.pieces(encoded.ids),
        encoded.spans if pair is None else _move_second(encoded.spans, encoded.special, len(text) + 1),
        encoded.special,
    )
    ids, segments = torch.tensor([encoded.ids]), torch.tensor([encoded.segments])
    hidden = ids == (-1 if tokenizer.mask_id is None else tokenizer.mask_id)
    gaps = hidden[0].nonzero().flatten().tolist() if head in ("mlm", "pretraining") else []

    def say(logits: Tensor) -> tuple[Output, ...]:
        if not gaps:
            return _labels(model, logits)
        found = list_likeliest(logits, tokenizer.pieces)
        return (Gaps(gaps=tuple(Gap(at=at, top=top) for at, top in zip(gaps, found, strict=True))),)

    keep = (hidden,) if gaps else ()
    return Shown(title=shorten(text), streams=(stream,), run=lambda: model.net(ids, None, segments, *keep), say=say)


def show_writing(model: Writer, given: str, n_tokens: int | None) -> Shown:
    """Show a text and what the model goes on with, N_TOKENS tokens unless it is said how many."""
    text, pair = split_texts(given)
    if pair is not None:
        raise ConfigError("A decoder goes on with one text; two were given.")
    tokenizer, cfg = model.tokenizer, model.net.cfg
    encoded = tokenizer.encode(text)
    if not encoded.ids:
        raise ShapeError("The text is empty: give one to look at.")
    first, writes = len(encoded.ids), cfg.head == "lm"
    room = max(0, min(N_TOKENS, cfg.max_len - first)) if n_tokens is None else n_tokens
    (found,) = model.generate([text], n_tokens=room) if room and writes else [None]
    written, more = (found.ids, found.text) if found else ([], "")
    ends = {*cfg.end_ids, tokenizer.end_id} if writes else set()
    stream = text_stream(
        "text",
        text + more,
        tokenizer.pieces([*encoded.ids, *written]),
        [*encoded.spans, *_spans_of_written(model, encoded.ids, written, len(text), len(more))],
        [*encoded.special, *(i in ends for i in written)],
        generated=first if written else None,
    )
    ids = torch.tensor([[*encoded.ids, *written]])
    keep = torch.zeros_like(ids, dtype=torch.bool)
    keep[0, first - 1 : first - 1 + len(written)] = True

    def say(logits: Tensor) -> tuple[Output, ...]:
        return list_steps(logits, written, first, tokenizer.pieces) if writes else _labels(model, logits)

    run = (lambda: model.net(ids, None, keep)) if writes else (lambda: model.net(ids))
    return Shown(title=shorten(text), streams=(stream,), run=run, say=say)


def show_picture(model: Viewer, given: Source) -> Shown:
    """Show a picture as the net sees it: scaled, cropped, and without the colours' normalisation."""
    if isinstance(given, list | tuple):
        raise ConfigError("One picture is shown at a time; a list was given.")
    pixels, cfg = prepare(given, model.preprocessing), model.net.cfg
    pixels = F.pad(pixels, (0, -pixels.size(-1) % cfg.patch, 0, -pixels.size(-2) % cfg.patch))  # as the nets that pad
    n_class, n_registers = getattr(cfg, "n_class", 0), getattr(cfg, "n_registers", 0)
    prefix = ["[CLS]", "[DIST]", *(f"[CLS {i}]" for i in range(3, n_class + 1))][:n_class]
    prefix += [f"register {i + 1}" for i in range(n_registers)]
    batch = pixels[None].to(next(model.net.parameters()).dtype)
    return Shown(
        title=shorten(Path(given).name) if isinstance(given, str | Path) else "A picture",
        streams=(picture_stream("picture", _as_seen(pixels, model.preprocessing), cfg.patch, prefix),),
        run=lambda: model.net(batch),
        say=lambda logits: _labels(model, logits),
    )


def split_texts(given: Any) -> tuple[str, str | None]:
    """Return a text, or the two of a pair, or refuse what is neither."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or len(texts) not in (1, 2) or not all(isinstance(x, str) for x in texts):
        raise ConfigError(f"A text or a pair of texts is shown; {type(given).__name__} was given.")
    return texts[0], texts[1] if len(texts) == 2 else None


def shorten(text: str) -> str:
    """Return a title of at most LONGEST characters."""
    plain = " ".join(text.split())
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rstrip() + "…"


def list_likeliest(logits: Tensor, name: Callable[[list[int]], list[str]]) -> list[tuple[Chance, ...]]:
    """Return the N_BEST likeliest tokens of each row of logits."""
    values, ids = logits.float().softmax(-1).topk(min(N_BEST, logits.size(-1)))
    rows = zip(ids.tolist(), values.tolist(), strict=True)
    return [tuple(zip(name(row), chances, strict=True)) for row, chances in rows]


def list_steps(
    logits: Tensor, written: list[int], first: int, name: Callable[[list[int]], list[str]]
) -> tuple[Output, ...]:
    """Return each token that was written with the likeliest ones there; nothing where none was."""
    if not written:
        return ()
    rows = zip(name(written), written, list_likeliest(logits, name), strict=True)
    return (Steps(first=first, steps=tuple(Step(token=token, id=i, top=top) for token, i, top in rows)),)


def _labels(model: Model, logits: Tensor) -> tuple[Output, ...]:
    """Return the labels of a model with a head for them; nothing for other heads."""
    if model.net.cfg.head != "classify":
        return ()
    (ranked,) = rank_labels(model.labels, logits.float().softmax(-1))
    return (Labels(labels=tuple((one.label, one.probability) for one in ranked)),)


def _move_second(spans: Sequence[Span], special: Sequence[bool], by: int) -> list[Span]:
    """Move the spans of the second text, which begins after the last special token but one."""
    places = [i for i, one in enumerate(special) if one and i + 1 < len(special) and not special[i + 1]]
    second = places[-1]
    return [(a + by, b + by) if i > second and not special[i] else (a, b) for i, (a, b) in enumerate(spans)]


def _spans_of_written(model: Writer, prompt: list[int], written: list[int], start: int, n: int) -> list[Span]:
    """Return which characters each token stands for that was written, n in all from `start` on."""
    context, spans, end = prompt[-CONTEXT:], [], 0
    before = len(model.tokenizer.decode(context))
    for i in range(1, len(written) + 1):
        last, end = end, max(end, min(n, len(model.tokenizer.decode([*context, *written[:i]])) - before))
        spans.append((start + last, start + end))
    return spans


def _as_seen(pixels: Tensor, cfg: Preprocessing) -> Tensor:
    """Return the values of a prepared picture from 0 to 1."""
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in (cfg.mean, cfg.std))
    return ((pixels * std + mean) / (cfg.rescale * 255)).clamp(0, 1)
