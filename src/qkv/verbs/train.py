"""Train a translator from nothing, or go on with a run that was interrupted."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qkv.base import files, seeds
from qkv.base.config import to_dict
from qkv.base.errors import ConfigError, DataError, ShapeError
from qkv.base.version import __version__
from qkv.data.lines import show
from qkv.data.pairs import Pair
from qkv.data.report import CheckReport, check_pairs
from qkv.data.translation import Splits, open_splits
from qkv.model import Translator
from qkv.models import get_size
from qkv.models.family import EncoderDecoder
from qkv.tasks.translation import Example, Translation
from qkv.text.tokenizer import Tokenizer, train_tokenizer
from qkv.training.checkpoint import surroundings
from qkv.training.loop import Event, Noticed, Stepped, Training
from qkv.verbs.card import write_card
from qkv.verbs.settings import TrainSettings, free_folder, merge, read_run, read_settings, refuse_idle

MANY_UNKNOWN = 0.02
OnEvent = Callable[[Event | CheckReport], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training: the model (its best weights), its folder, its data, and the seconds it took here."""

    model: Translator
    folder: Path
    splits: Splits
    seconds: float


def train(
    model: str | None = None,
    data: str | None = None,
    *,
    out: Path | str | None = None,
    config: Path | str | None = None,
    resume: Path | str | None = None,
    on_event: OnEvent | None = None,
    **options: Any,
) -> Trained:
    """Train `model` (a size, such as "transformer-tiny") on `data` (a parallel file, or cldr:dates and the like).

    out: the run's folder, runs/MODEL-DATA unless given. config: a recipe in TOML or a run.json; options beat it.
    resume: a run's folder, to go on with; then nothing else is given. options: the fields of TrainSettings and of
    Recipe. Raises Stopped (exit code 75) when a signal ends the run early, after a checkpoint.
    """
    on_event = on_event or (lambda event: None)
    if resume is not None:
        if model or data or out or config or any(v is not None for v in options.values()):
            raise ConfigError("--resume takes the run's own settings; give nothing beside it.")
        return _resume(Path(resume), on_event)
    recipe = read_settings(Path(config)) if config else {}
    settings = merge(recipe, {"model": model, "data": data, **options}, where="qkv train")
    refuse_idle(settings.data, options)
    get_size(settings.model)  # a name that is not known is told before the data is read
    folder = free_folder(out, f"{settings.model}-{Path(settings.data.replace(':', '-')).stem}")
    splits = open_settings_data(settings)
    tokenizer = learn_tokenizer(settings, splits)
    on_event(look_through(settings, splits, tokenizer))
    unknown = share_unknown(tokenizer, splits.validation)
    if unknown > MANY_UNKNOWN:
        on_event(Noticed(f"{unknown:.0%} of the validation tokens are unknown words: --tokenizer bpe knows them all."))
    return fit(settings, splits, tokenizer, folder, on_event)


def learn_tokenizer(settings: TrainSettings, splits: Splits) -> Tokenizer:
    """Return one tokenizer for both sides of the training pairs."""
    texts = (text for pair in splits.train for text in (pair.source, pair.target))
    return train_tokenizer(settings.tokenizer, texts, settings.vocab_size)


def share_unknown(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> float:
    """Return how many of the tokens of pairs the tokenizer does not know, as a share of all."""
    ids = [i for pair in pairs for text in (pair.source, pair.target) for i in tokenizer.encode(text).ids]
    return ids.count(tokenizer.unk_id) / len(ids)


def look_through(settings: TrainSettings, splits: Splits, tokenizer: Tokenizer) -> CheckReport:
    """Return the first screen of a training: what its data is like, for this tokenizer and model."""
    return check_pairs(
        settings.data,
        splits.train,
        splits.reading,
        tokenizers=(tokenizer, tokenizer),
        limit=get_size(settings.model)[1].max_len,
        splits={"validation": splits.validation, **({"test": splits.test} if splits.test else {})},
    )


def open_settings_data(settings: TrainSettings) -> Splits:
    """Return the data that settings name."""
    return open_splits(
        settings.data,
        source=settings.source,
        target=settings.target,
        items=settings.items,
        n_examples=settings.n_examples,
        valid=settings.valid,
        on_bad=settings.on_bad,
    )


def fit(settings: TrainSettings, splits: Splits, tokenizer: Tokenizer, folder: Path, on_event: OnEvent) -> Trained:
    """Train from the first step in a new folder."""
    training, task = _prepare(settings, splits, tokenizer, folder, on_event)
    files.make_folder(folder)
    run = {"qkv": __version__, "settings": to_dict(settings)}
    files.write_json(folder / "run.json", {**run, "data_sha256": _hash(splits), "made_with": surroundings()})
    tokenizer.save(folder / "tokenizer.json")
    return _run(training, task, settings, splits, folder, on_event)


def _resume(folder: Path, on_event: OnEvent) -> Trained:
    run = read_run(folder)
    settings = merge(run["settings"], where=str(folder / "run.json"))
    splits = open_settings_data(settings)
    if _hash(splits) != run.get("data_sha256"):
        raise ConfigError(f"{settings.data} is not the data that {folder} was trained on; put it back, or start anew.")
    place = folder / "tokenizer.json"
    if not place.exists():  # a kill came between run.json and this
        learn_tokenizer(settings, splits).save(place)
    training, task = _prepare(settings, splits, Tokenizer.load(place), folder, on_event)
    for note in training.resume():
        on_event(Noticed(note))
    on_event(Noticed(f"Going on after step {training.at.step} of {settings.recipe.steps}."))
    return _run(training, task, settings, splits, folder, on_event)


def _prepare(
    settings: TrainSettings, splits: Splits, tokenizer: Tokenizer, folder: Path, on_event: OnEvent
) -> tuple[Training[EncoderDecoder], Translation]:
    """Build the net, seeded, and everything that trains it."""
    family, size = get_size(settings.model)
    sizes: dict[str, Any] = {"vocab_size": tokenizer.vocab_size}
    if size.target_vocab_size is not None:
        sizes["target_vocab_size"] = tokenizer.vocab_size
    if settings.dropout is not None:
        sizes["dropout"] = settings.dropout
    cfg = replace(size, **sizes)
    seeds.plant(settings.recipe.seed, 0)
    net = family.net(cfg)
    task = Translation(tokenizer, tokenizer, cfg, smoothing=settings.recipe.smoothing)
    examples = _encode(task, splits.train, settings, on_event)
    watched = _encode(task, splits.validation, settings, on_event)
    training = Training(net, task, examples, settings.recipe, folder, lambda net: task.figures(net, watched))
    return training, task


def _encode(task: Translation, pairs: Sequence[Pair], settings: TrainSettings, on_event: OnEvent) -> list[Example]:
    """Return the pairs as ids; those longer than the net are an error, or with on_bad "skip" left out, and said."""
    examples, too_long = [], []
    for pair in pairs:
        try:
            examples.append(task.encode(pair))
        except ShapeError as error:
            too_long.append(f"{show(pair.source)}: {error}")
    if too_long:
        told = f"{len(too_long):,} of {len(pairs):,} pairs are too long, first {too_long[0]}"
        if settings.on_bad != "skip" or not examples:
            raise DataError(f"{told} Or leave such pairs out: --on-bad skip")
        on_event(Noticed(f"{told} They are left out."))
    return examples


def _run(
    training: Training[EncoderDecoder],
    task: Translation,
    settings: TrainSettings,
    splits: Splits,
    folder: Path,
    on_event: OnEvent,
) -> Trained:
    seconds = 0.0
    with closing(training.run()) as events:
        for event in events:
            seconds += event.seconds if isinstance(event, Stepped) else 0.0
            on_event(event)
    card = {"data": settings.data}
    if settings.data.startswith("cldr:"):
        card |= {"source": settings.source, "target": settings.target, "items": settings.items}
    model = Translator(training.net, task.source, task.target, card=card)
    model.save(folder)
    write_card(folder, model, settings, training.at)
    return Trained(model, folder, splits, seconds)


def _hash(splits: Splits) -> str:
    digest = hashlib.sha256()
    for pairs in (splits.train, splits.validation):
        for pair in pairs:
            digest.update(f"{pair.source}\t{pair.target}\n".encode())
        digest.update(b"\0")
    return digest.hexdigest()
