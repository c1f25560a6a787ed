"""Trainings on labels, of texts or of pictures, from a model or from nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from qkv.base import seeds
from qkv.base.errors import ConfigError, DataError, ShapeError
from qkv.data.digits import PREPROCESSING, load_digits
from qkv.data.folders import read_folder
from qkv.data.labelled import Labelled, LabelledSplits, open_labelled
from qkv.data.lines import show
from qkv.data.picture_report import check_pictures
from qkv.data.pictures import Picture, PictureData, Prepared
from qkv.data.rows import count
from qkv.data.text_report import check_texts
from qkv.image.augment import Augmentation
from qkv.image.preprocessing import Preprocessing
from qkv.model import Reader, Viewer, Writer
from qkv.models import get_size
from qkv.models.family import Encoder, PictureNet
from qkv.tasks.classify import PictureClassify, TextClassify, TextExample
from qkv.text.public import TextTokenizer
from qkv.verbs.card import Told
from qkv.verbs.heads import settled
from qkv.verbs.pretrain import learn_tokenizer, plan
from qkv.verbs.running import Job, Learned, OnEvent, go_on, hash_texts, start
from qkv.verbs.settings import LearnSettings, free_folder, merge, pace

DIGITS = "digits"
_NEW = {"smoothing": 0.0, "weight_decay": 0.05, "beta2": 0.98}
_PICTURES = {**_NEW, "budget": 64}
_OF_TEXTS = {
    "columns": "--columns",
    "truncate": "--truncate",
    "stride": "--stride",
    "vocab_size": "--vocab-size",
    "valid": "--valid",
}
_OF_PICTURES = {name: f"--{name}" for name in ("fold", "shift", "degrees", "scale", "shear", "flip")}


def start_from_nothing(
    recipe: Mapping[str, Any], given: Mapping[str, Any], out: Path | str | None, on_event: OnEvent
) -> Learned:
    """Train a size to tell labels: what `qkv train` does for all that are no translators."""
    name = given["model"] or recipe.get("model")
    defaults = _PICTURES if issubclass(get_size(name)[0].net, PictureNet) else _NEW  # type: ignore[arg-type]
    where = f"qkv train {name}"
    settings = merge(defaults, pace(recipe, given), recipe, given, where=where, kind=LearnSettings)
    if settings.objective != "classify" or settings.freeze is not None:
        raise ConfigError(f"{where} begins from nothing, on labels: for raw text there is qkv pretrain.")
    job = make_from_nothing(settings)
    folder = free_folder(out, f"{settings.model}-{Path(settings.data).stem}")
    return start("train", job, settings, folder, on_event)


def go_on_from_nothing(folder: Path, on_event: OnEvent) -> Learned:
    """Go on with such a training."""
    return go_on("train", make_from_nothing, LearnSettings, folder, on_event)


def make_from_nothing(settings: LearnSettings) -> Job:
    """Return the training of a size on labels."""
    family, size = get_size(settings.model)
    pictures = issubclass(family.net, PictureNet)  # type: ignore[arg-type]
    check_options(settings, pictures=pictures)
    if pictures:
        data = open_pictures(settings)
        drops = {"dropout": settings.dropout, "dropout_attention": settings.dropout_attention}
        cfg = settled(size, head="classify", n_labels=len(data.labels), **drops)
        seeds.plant(settings.recipe.seed, 0)
        return picture_job(Viewer(family.net(cfg), _preprocessing(cfg), card={}), data, settings)
    rows = open_rows(settings)
    writes = not issubclass(family.net, Encoder)  # type: ignore[arg-type]
    texts = [text for row in rows.train for text in (row.text, row.pair) if text is not None]
    tokenizer = learn_tokenizer(texts, settings.vocab_size, settings.model, writes=writes)
    drops = settings.dropout, settings.dropout_attention
    cfg = plan(size, tokenizer, "classify", *drops, n_labels=len(rows.labels))
    seeds.plant(settings.recipe.seed, 0)
    return text_job((Writer if writes else Reader)(family.net(cfg), tokenizer, card={}), rows, settings)


def check_options(settings: LearnSettings, *, pictures: bool) -> None:
    """Raise ConfigError for settings that would change nothing, and for data of the other kind."""
    reads, idle = ("pictures", _OF_TEXTS) if pictures else ("texts", _OF_PICTURES)
    plain = LearnSettings(model="", data="")
    changed = [
        spelled
        for name, spelled in idle.items()
        if getattr(settings, name, None) != getattr(plain, name, None)
        or getattr(settings.augment, name, None) != getattr(plain.augment, name, None)
    ]
    if changed:
        raise ConfigError(f"{settings.model} reads {reads}: it takes no {' and no '.join(changed)}.")
    if not pictures and settings.data == DIGITS:
        raise ConfigError(f"{settings.model} reads texts, and digits are pictures: take vit-digits or swin-digits.")
    if settings.fold is not None and settings.data != DIGITS:
        raise ConfigError(f"--fold parts the built-in digits; {settings.data} is parted by its folders.")
    if settings.truncate and settings.stride is not None:
        raise ConfigError("--truncate cuts long texts off, --stride splits them: give one of them.")


def open_rows(settings: LearnSettings) -> LabelledSplits:
    """Return the labelled texts that settings name."""
    return open_labelled(settings.data, valid=settings.valid, columns=settings.columns, on_bad=settings.on_bad)


def open_pictures(settings: LearnSettings) -> PictureData:
    """Return the pictures that settings name."""
    if settings.data == DIGITS:
        return load_digits(fold=settings.fold)
    return read_folder(settings.data, on_bad=settings.on_bad)


def text_job(
    model: Reader | Writer,
    rows: LabelledSplits,
    settings: LearnSettings,
    *,
    base: Sequence[Tensor] = (),
    notes: Sequence[str] = (),
) -> Job:
    """Return the training of a model on labelled texts; base: the weights that it starts from, if from any."""
    tokenizer, cfg = model.tokenizer, model.net.cfg
    model.card = {"data": settings.data, "labels": [*rows.labels]}
    task = TextClassify(tokenizer, cfg, rows.labels, smoothing=settings.recipe.smoothing, truncate=settings.truncate)
    examples, watched = (_encode(task, tokenizer, part, settings) for part in (rows.train, rows.validation))
    report = check_texts(
        settings.data,
        rows.train,
        rows.reading,
        cut=lambda text: tokenizer.encode(text, special=False).spans,
        limit=cfg.max_len - len(tokenizer.encode("").ids),
        samples=[task.length(one) for one in examples],
        budget=settings.recipe.budget,
        splits={"validation": rows.validation},
    )
    split = len(examples) - len(rows.train)
    told = [f"Long texts are split: {len(examples):,} pieces of {len(rows.train):,} texts."] if split else []
    return Job(
        model=model,
        task=task,
        examples=examples,
        watched=watched,
        report=report,
        sha256=hash_texts((_lines(rows.train), _lines(rows.validation)), *base),
        notes=[*told, *notes],
        told=_tell(settings, rows.labels, len(examples), "text"),
    )


def picture_job(
    model: Viewer,
    data: PictureData,
    settings: LearnSettings,
    *,
    base: Sequence[Tensor] = (),
    notes: Sequence[str] = (),
) -> Job:
    """Return the training of a model on pictures in classes; base: the weights that it starts from, if from any."""
    model.card = {"data": settings.data, "labels": [*data.labels]}
    mean, std = model.preprocessing.mean[0], model.preprocessing.std[0]
    augment = replace(settings.augment, fill=-mean / std) if settings.augment != Augmentation() else None
    task = PictureClassify(model.net.cfg, data.labels, smoothing=settings.recipe.smoothing, augment=augment)
    train, validation, test = (_prepare(part, model.preprocessing) for part in data.splits.values())
    return Job(
        model=model,
        task=task,
        examples=train,
        watched=validation,
        test=test,
        report=check_pictures(data),
        sha256=hash_texts(([f"{one.content} {one.label}" for one in part] for part in data.splits.values()), *base),
        notes=notes,
        told=_tell(settings, data.labels, len(train), "picture"),
    )


def _encode(
    task: TextClassify, tokenizer: TextTokenizer, rows: Sequence[Labelled], settings: LearnSettings
) -> list[TextExample]:
    """Return rows as ids; with a stride a long text becomes several examples of its label."""
    examples, too_long = [], []
    for row in rows:
        try:
            if settings.stride is None or row.pair is not None:
                examples.append(task.encode(row))
            else:
                pieces = tokenizer.split(row.text, max_len=task.max_len, stride=settings.stride)
                examples += [TextExample(one.ids, one.segments, task.ids[row.label]) for one in pieces]
        except ShapeError as error:
            too_long.append(f"{show(row.text)}: {error}")
    if too_long:
        raise DataError(
            f"{settings.data}: {len(too_long):,} of {count(len(rows), 'text')} are too long, first {too_long[0]}"
        )
    return examples


def _lines(rows: Sequence[Labelled]) -> list[str]:
    return ["\t".join((row.text, row.pair or "", row.label)) for row in rows]


def _prepare(pictures: Sequence[Picture], preprocessing: Preprocessing) -> Sequence[tuple[Tensor, int]]:
    """Return pictures as a net reads them; those that lie in memory are prepared once."""
    prepared = Prepared(pictures, preprocessing)
    return [*prepared] if all(isinstance(one.image, Tensor) for one in pictures) else prepared


def _preprocessing(cfg: Any) -> Preprocessing:
    """Return how a net that starts from nothing wants its pictures: stretched to its size, black 0 and white 1."""
    n = cfg.n_channels
    return replace(PREPROCESSING, size=cfg.picture_size, mean=(0.0,) * n, std=(1.0,) * n)


def _tell(settings: LearnSettings, labels: Sequence[str], n: int, kind: str) -> Told:
    return Told(
        title=f"{settings.model} trained on {settings.data}",
        what=f"to tell {len(labels)} labels apart",
        data=f"{settings.data}, {count(n, kind)}, {len(labels)} labels",
        commands=('predict {} "..."' if kind == "text" else "predict {} PICTURE",),
        kind=kind,
    )
