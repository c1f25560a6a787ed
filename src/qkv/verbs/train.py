"""Train a translator from nothing, or go on with a run that was interrupted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qkv.base import seeds
from qkv.base.errors import DataError, ShapeError
from qkv.data.lines import show
from qkv.data.pairs import Pair
from qkv.data.report import CheckReport, check_pairs
from qkv.data.translation import Splits, open_splits
from qkv.model import Translator
from qkv.models import get_size
from qkv.models.family import EncoderDecoder
from qkv.tasks.translation import Example, Translation
from qkv.text.tokenizer import Tokenizer, train_tokenizer
from qkv.training.loop import Noticed, Training
from qkv.verbs import learn
from qkv.verbs.card import Told, write_card
from qkv.verbs.running import (
    Learned,
    OnEvent,
    begin,
    catch_up,
    hash_texts,
    refuse_beside_resume,
    refuse_other_data,
    reopen,
    run_through,
)
from qkv.verbs.settings import TrainSettings, free_folder, merge, read_settings, refuse_idle

MANY_UNKNOWN = 0.02


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
) -> Trained | Learned:
    """Train `model`, a size, on `data`: a translator on pairs, all others to tell labels.

    Pairs (for sizes such as "transformer-tiny") are a parallel file, or cldr:dates and the like. Labels are a TSV for
    nets of texts; for nets of pictures a folder with one for each class, or "digits" (for "vit-digits").
    out: the run's folder, runs/MODEL-DATA unless given. config: a recipe in TOML or a run.json; options beat it.
    resume: a run's folder, to go on with; then nothing else is given. options: the fields of TrainSettings or
    LearnSettings, and of Recipe. Raises Stopped (exit code 75) when a signal ends the run early, after a checkpoint.
    """
    on_event = on_event or (lambda event: None)
    if resume is not None:
        refuse_beside_resume(model, data, out, config, *options.values())
        return _resume(Path(resume), on_event)
    recipe = read_settings(Path(config)) if config else {}
    given = {"model": model, "data": data, **options}
    if not translates(model or recipe.get("model")):
        return learn.start_from_nothing(recipe, given, out, on_event)
    settings = merge(recipe, given, where="qkv train")
    refuse_idle(settings.data, options)
    folder = free_folder(out, f"{settings.model}-{Path(settings.data.replace(':', '-')).stem}")
    splits = open_settings_data(settings)
    tokenizer = learn_tokenizer(settings, splits)
    on_event(look_through(settings, splits, tokenizer))
    unknown = share_unknown(tokenizer, splits.validation)
    if unknown > MANY_UNKNOWN:
        on_event(Noticed(f"{unknown:.0%} of the validation tokens are unknown words: --tokenizer bpe knows them all."))
    return fit(settings, splits, tokenizer, folder, on_event)


def translates(model: Any) -> bool:
    """Tell whether a size is of a translator; a name that is not known raises ConfigError before data is read."""
    return not isinstance(model, str) or issubclass(get_size(model)[0].net, EncoderDecoder)  # type: ignore[arg-type]


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
    begin(folder, "train", settings, _hash(splits))
    tokenizer.save(folder / "tokenizer.json")
    return _run(training, task, settings, splits, on_event)


def _resume(folder: Path, on_event: OnEvent) -> Trained | Learned:
    run = reopen(folder, "train")
    if not translates(run["settings"].get("model")):
        return learn.go_on_from_nothing(folder, on_event)
    settings = merge(run["settings"], where=str(folder / "run.json"))
    splits = open_settings_data(settings)
    if _hash(splits) != run.get("data_sha256"):
        refuse_other_data(settings.data, folder)
    place = folder / "tokenizer.json"
    if not place.exists():  # a kill came between run.json and this
        learn_tokenizer(settings, splits).save(place)
    training, task = _prepare(settings, splits, Tokenizer.load(place), folder, on_event)
    catch_up(training, on_event)
    return _run(training, task, settings, splits, on_event)


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
    training: Training[EncoderDecoder], task: Translation, settings: TrainSettings, splits: Splits, on_event: OnEvent
) -> Trained:
    seconds = run_through(training, on_event)
    card = {"data": settings.data}
    if settings.data.startswith("cldr:"):
        card |= {"source": settings.source, "target": settings.target, "items": settings.items}
    model = Translator(training.net, task.source, task.target, card=card)
    model.save(training.folder)
    write_card(training, model, _tell(settings, task.source.vocab_size))
    return Trained(model, training.folder, splits, seconds)


def _tell(settings: TrainSettings, vocab_size: int) -> Told:
    data = settings.data
    built_in = data.startswith("cldr:")
    lists = f"lists of {settings.items} items of {data} from {settings.source} to {settings.target}"
    return Told(
        title=f"{settings.model} trained on {data}",
        what=f"to translate {lists if built_in else f'as the pairs of {data} do'}",
        data=f"{data}, {settings.tokenizer} tokens, vocabulary {vocab_size:,}",
        commands=('translate {} "..."', f"evaluate {{}} {data if built_in else 'test.tsv'}"),
    )


def _hash(splits: Splits) -> str:
    return hash_texts(
        [[f"{pair.source}\t{pair.target}" for pair in part] for part in (splits.train, splits.validation)]
    )
