"""Go on with a model that exists: on labels, with a new head for them, or on raw text."""

from pathlib import Path
from typing import Any

from qkv.base.errors import ConfigError
from qkv.model import Model, Reader, Viewer, Writer, load
from qkv.verbs import learn, raw_text
from qkv.verbs.heads import freeze, settled, with_head
from qkv.verbs.running import Job, Learned, OnEvent, go_on, refuse_beside_resume, start
from qkv.verbs.settings import LearnSettings, free_folder, merge, pace, read_settings

DEFAULTS = {"lr": 5e-5, "smoothing": 0.0, "weight_decay": 0.01, "beta2": 0.999, "adam_eps": 1e-8, "budget": 2048}
AT_ONCE = 32  # pictures


def finetune(
    model: str | None = None,
    data: str | None = None,
    *,
    out: Path | str | None = None,
    config: Path | str | None = None,
    resume: Path | str | None = None,
    on_event: OnEvent | None = None,
    **options: Any,
) -> Learned:
    """Train a model (a folder, or a name on the hub) on data of one's own.

    data: for objective "classify" a TSV with labels, or a folder of pictures or "digits"; the model gets a new head for
    the labels, unless it has one for just these. For "causal" and "mlm" raw text as in `pretrain`. freeze: "body", or a
    pattern of names of parameters that stay bit for bit. out: the run's folder. config: a recipe in TOML or a run.json;
    options beat it. resume: a run's folder, to go on with; then nothing else is given. options: the fields of
    LearnSettings and of Recipe. Raises Stopped (exit code 75) when a signal ends the run early, after a checkpoint.
    """
    on_event = on_event or (lambda event: None)
    if resume is not None:
        refuse_beside_resume(model, data, out, config, *options.values())
        return go_on("finetune", make, LearnSettings, Path(resume), on_event)
    recipe = read_settings(Path(config)) if config else {}
    given = {"model": model, "data": data, **options}
    named = model or recipe.get("model")
    base = load(named) if isinstance(named, str) else None
    defaults = DEFAULTS | ({"budget": AT_ONCE} if isinstance(base, Viewer) else {})
    settings = merge(defaults, pace(recipe, given), recipe, given, where="qkv finetune", kind=LearnSettings)
    job = _make(settings, base or load(settings.model))
    name = "stdin" if settings.data == "-" else Path(settings.data).stem
    return start("finetune", job, settings, free_folder(out, f"{Path(settings.model).name}-{name}"), on_event)


def make(settings: LearnSettings) -> Job:
    """Return the training that settings stand for."""
    return _make(settings, load(settings.model))


def _make(settings: LearnSettings, base: Model) -> Job:
    if not isinstance(base, Reader | Writer | Viewer):
        raise ConfigError(f"{settings.model} is a {base.family.name} model, a translator: train one with qkv train.")
    if settings.vocab_size is not None:
        raise ConfigError(f"{settings.model} brings its own tokenizer: it takes no --vocab-size.")
    if settings.objective == "classify":
        return _labels(settings, base)
    if isinstance(base, Viewer):
        raise ConfigError(f"{settings.model} reads pictures: it learns labels alone (--task classify).")
    raw_text.natural_objective(settings.model, type(base.net), settings.objective)
    documents = raw_text.open_text(settings)
    weights = [*base.net.state_dict().values()]
    head = base.net.cfg.head if base.net.cfg.head == "pretraining" else raw_text.HEADS[settings.objective]
    notes = _fit(base, settings, head=head)
    base.card = {"data": settings.data}
    return raw_text.make_job(base, documents, settings, base=weights, notes=notes)


def _labels(settings: LearnSettings, base: Reader | Writer | Viewer) -> Job:
    learn.check_options(settings, pictures=isinstance(base, Viewer))
    weights = [*base.net.state_dict().values()]
    if isinstance(base, Viewer):
        pictures = learn.open_pictures(settings)
        notes = _fit(base, settings, head="classify", labels=pictures.labels)
        return learn.picture_job(base, pictures, settings, base=weights, notes=notes)
    rows = learn.open_rows(settings)
    notes = _fit(base, settings, head="classify", labels=rows.labels)
    return learn.text_job(base, rows, settings, base=weights, notes=notes)


def _fit(
    base: Reader | Writer | Viewer, settings: LearnSettings, *, head: str, labels: tuple[str, ...] | None = None
) -> list[str]:
    """Give a model the head that settings ask for, freeze what they name; return what the user should know."""
    drops = {"dropout": settings.dropout, "dropout_embed": settings.dropout}
    drops["dropout_attention"] = settings.dropout_attention
    n_labels = None if labels is None else len(labels)
    cfg = settled(base.net.cfg, head=head, n_labels=n_labels, **drops)
    other = labels is not None and (base.net.cfg.head != head or [*labels] != base.labels)
    base.net, drawn = with_head(base.net, cfg, seed=settings.recipe.seed, new=other)
    notes = [f"Drawn anew: {', '.join(drawn)}."] if drawn else ["The model's own head is trained on."]
    if settings.freeze is not None:
        n, total = freeze(base.net, settings.freeze, drawn), sum(p.numel() for p in base.net.parameters())
        notes.append(f"Frozen: {n:,} of {total:,} parameters.")
    return notes
