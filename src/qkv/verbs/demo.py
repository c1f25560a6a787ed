"""The main job on one page: three translators side by side, and the lecture's alignment picture."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qkv.data.pairs import Pair, token_links
from qkv.data.translation import Splits
from qkv.evaluation.translation import Report, Translated, cross_maps, score_translations
from qkv.inside.figures import Alignment, draw_alignments
from qkv.text.tokenizer import Tokenizer
from qkv.training.recipe import Recipe
from qkv.verbs.settings import TrainSettings, free_folder
from qkv.verbs.train import OnEvent, Trained, fit, learn_tokenizer, look_through, open_settings_data
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
    """What `qkv demo` shows: the contestants, sample translations, alignments by translator, and their picture."""

    contestants: tuple[Contestant, ...]
    samples: tuple[Sample, ...]
    alignments: dict[str, Alignment]
    pictures: tuple[Path, ...]
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
    on_event = on_event or (lambda event: None)
    folder = free_folder(out, f"demo-{source}-{target}")
    first = TrainSettings(model=SHOWN[0], data="cldr:dates", source=source, target=target, items=items)
    splits = open_settings_data(first)
    tokenizer = learn_tokenizer(first, splits)
    on_event(look_through(first, splits, tokenizer))
    contestants, runs, outputs = [], {}, {}
    for name, recipe in CONTESTANTS.items():
        settings = replace(
            first,
            model=name,
            dropout=0.0,
            recipe=replace(recipe, seed=seed, steps=max(1, round(recipe.steps * scale))),
        )
        runs[name] = trained = fit(settings, splits, tokenizer, folder / name, on_event)
        report, outputs[name] = score_translations(trained.model.net, trained.model.task, splits.test)
        contestants.append(_keep(name, trained, report))
    alignments = _align(runs, tokenizer, splits)
    pictures = (folder / "alignment.png", folder / "alignment.svg")
    for picture in pictures:
        draw_alignments(alignments, picture)
    return Demo(
        contestants=tuple(contestants),
        samples=_samples(splits.test, outputs),
        alignments=alignments,
        pictures=pictures,
        folder=folder,
    )


def _keep(name: str, trained: Trained, report: Report) -> Contestant:
    """Save which head aligns best with the model, so that `qkv translate` shows that one."""
    model = trained.model
    if report.best_head is not None:
        model.card["alignment_head"] = list(report.best_head)
        model.save(trained.folder)
    parameters = sum(p.numel() for p in model.net.parameters())
    return Contestant(name=name, parameters=parameters, seconds=trained.seconds, report=report, folder=trained.folder)


def _align(runs: dict[str, Trained], tokenizer: Tokenizer, splits: Splits) -> dict[str, Alignment]:
    """Return each attentive translator's alignment of one unseen string; gold is known where it translated right."""
    pair = _telling(tokenizer, splits.test)
    gold = token_links(pair.links or (), tokenizer.encode(pair.source).spans, tokenizer.encode(pair.target).spans)
    alignments = {}
    for name in SHOWN:
        model = runs[name].model
        (done,) = model.translate([pair.source], beams=1, weights=bool(cross_maps(model.net)))
        alignment = align(model, pair.source, done)
        alignments[name] = replace(alignment, gold=frozenset(gold if done.text == pair.target else ()))
    return alignments


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
