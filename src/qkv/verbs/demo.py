"""The main job on one page: three translators side by side, and the lecture's alignment picture."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from qkv.base.errors import ConfigError
from qkv.data.pairs import Pair, token_links
from qkv.data.translation import Splits
from qkv.evaluation.translation import Report, Translated, score_translations
from qkv.inside.figures import Alignment, draw_alignments
from qkv.inside.page import Page
from qkv.model import Translator
from qkv.model.explain import explain
from qkv.text.tokenizer import Tokenizer
from qkv.training.recipe import Recipe
from qkv.verbs.running import OnEvent
from qkv.verbs.settings import TrainSettings, free_folder
from qkv.verbs.train import Trained, fit, learn_tokenizer, look_through, open_settings_data
from qkv.verbs.translate import align

RECIPE = Recipe(
    steps=500, budget=2048, lr=3e-3, warmup=60, smoothing=0.0, validate_every=250, checkpoint_every=250, log_every=10
)
CONTESTANTS = {
    "rnn-tiny": RECIPE,
    "bahdanau-tiny": RECIPE,
    "transformer-tiny": replace(RECIPE, steps=900),
}
SHOWN = ("bahdanau-tiny", "transformer-tiny")
N_SAMPLES = 5
WIDEST = 26


@dataclass(frozen=True, kw_only=True, slots=True)
class Contestant:
    """One of the translators: its size, seconds of training, scores, and where it lies."""

    name: str
    parameters: int
    seconds: float
    report: Report
    folder: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One unseen source, its reference, and what each translator made of it."""

    source: str
    reference: str
    translations: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """What `qkv demo` shows: contestants, sample translations, alignments of translators, their pictures and pages."""

    contestants: tuple[Contestant, ...]
    samples: tuple[Sample, ...]
    alignments: dict[str, Alignment]
    pictures: tuple[Path, ...]
    pages: tuple[Path, ...]
    folder: Path


def demo(
    *,
    source: str = "en",
    target: str = "fr",
    items: str = "1-3",
    out: Path | str | None = None,
    seed: int = 0,
    scale: float = 1.0,
    on_event: OnEvent | None = None,
) -> Demo:
    """Train a net with one fixed context, Bahdanau's and a Transformer on CLDR dates; compare them on unseen strings.

    scale: times the steps of each training. Everything is drawn from `seed`: on one machine two demos differ in
    their times alone.
    """
    if not 0 < scale < math.inf:
        raise ConfigError(f"scale is {scale}; it must be above 0.")
    on_event = on_event or (lambda event: None)
    folder = free_folder(out, f"demo-{source}-{target}")
    settings = TrainSettings(model=SHOWN[0], data="cldr:dates", source=source, target=target, items=items, dropout=0.0)
    splits = open_settings_data(settings)
    tokenizer = learn_tokenizer(settings, splits)
    on_event(look_through(settings, splits, tokenizer))
    entries = {}
    with one_thread():
        for name, recipe in CONTESTANTS.items():
            recipe = replace(recipe, seed=seed, steps=max(1, round(recipe.steps * scale)))
            one = replace(settings, model=name, recipe=recipe)
            entries[name] = compete(one, splits, tokenizer, folder / name, on_event)
    models, telling = {name: entries[name].trained.model for name in SHOWN}, _telling(tokenizer, splits.test)
    alignments = {name: _align(model, tokenizer, telling) for name, model in models.items()}
    pictures = (folder / "alignment.png", folder / "alignment.svg")
    for picture in pictures:
        draw_alignments(alignments, picture)
    pages = {
        folder / f"{name}.html": explain(model, telling, beams=1, name=str(folder / name))
        for name, model in models.items()
    }
    for page, trace in pages.items():
        Page(trace.to_bytes(), trace.title).save(page)
    return Demo(
        contestants=tuple(entry.contestant for entry in entries.values()),
        samples=_samples(splits.test, {name: entry.outputs for name, entry in entries.items()}),
        alignments=alignments,
        pictures=pictures,
        pages=tuple(pages),
        folder=folder,
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: products this small gain little from a second, and wait for it where others are at work.

    It also makes the figures of a demo the same for any number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Entry(NamedTuple):
    """What one translator brings into the demo."""

    contestant: Contestant
    trained: Trained
    outputs: list[Translated]


def compete(settings: TrainSettings, splits: Splits, tokenizer: Tokenizer, folder: Path, on_event: OnEvent) -> Entry:
    """Train one translator, score it on the test split, and save which head aligns best with the model."""
    trained = fit(settings, splits, tokenizer, folder, on_event)
    model = trained.model
    report, outputs = score_translations(model.net, model.task, splits.test)
    if report.best_head is not None:
        model.card["alignment_head"] = list(report.best_head)
        model.save(folder)
    parameters = sum(p.numel() for p in model.net.parameters())
    contestant = Contestant(
        name=settings.model, parameters=parameters, seconds=trained.seconds, report=report, folder=folder
    )
    return Entry(contestant, trained, outputs)


def _align(model: Translator, tokenizer: Tokenizer, pair: Pair) -> Alignment:
    """Return a translator's alignment of one unseen string; gold is known where it translated right."""
    gold = token_links(pair.links or (), tokenizer.encode(pair.source).spans, tokenizer.encode(pair.target).spans)
    (done,) = model.translate([pair.source], beams=1, weights=True)
    alignment = align(model, pair.source, done)
    return replace(alignment, gold=frozenset(gold if done.text == pair.target else ()))


def _telling(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> Pair:
    """Return the longest string that still fits a terminal: it shows most of the order of words."""
    lengths = [len(tokenizer.encode(pair.source).ids) for pair in pairs]
    fitting = [i for i, length in enumerate(lengths) if length <= WIDEST] or [0]
    return pairs[max(fitting, key=lambda i: (lengths[i], -i))]


def _samples(pairs: Sequence[Pair], outputs: dict[str, list[Translated]]) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            source=pairs[i].source,
            reference=pairs[i].target,
            translations={name: done[i].text for name, done in outputs.items()},
        )
        for i in range(min(N_SAMPLES, len(pairs)))
    )
