"""Train a net of texts from nothing on raw text: to go on with it, or to fill its gaps."""

from pathlib import Path
from typing import Any

from qkv.base import seeds
from qkv.data.text import TextSplits
from qkv.model import Reader, Writer
from qkv.models import get_size
from qkv.text.public import TextTokenizer
from qkv.text.train import train_byte_bpe, train_wordpiece
from qkv.verbs import raw_text
from qkv.verbs.heads import settled
from qkv.verbs.running import Job, Learned, OnEvent, go_on, refuse_beside_resume, start
from qkv.verbs.settings import PretrainSettings, free_folder, merge, pace, read_settings

MOST_TOKENS = 8000
DEFAULTS = {"lr": 1e-3, "weight_decay": 0.1, "smoothing": 0.0}


def pretrain(
    model: str | None = None,
    data: str | None = None,
    *,
    out: Path | str | None = None,
    config: Path | str | None = None,
    resume: Path | str | None = None,
    on_event: OnEvent | None = None,
    **options: Any,
) -> Learned:
    """Train `model`, a size such as "gpt-tiny" or "bert-tiny", on raw text, with a tokenizer learned from it.

    data: "pydoc", a text or JSONL file, a folder of texts, or "-" for stdin. A decoder learns to predict the next token
    (objective "causal"), an encoder hidden ones ("mlm"). out: the run's folder, runs/MODEL-DATA unless given. config: a
    recipe in TOML or a run.json; options beat it. resume: a run's folder, to go on with; then nothing else is given.
    options: the fields of PretrainSettings and of Recipe. Raises Stopped (exit code 75) when a signal ends the run
    early, after a checkpoint.
    """
    on_event = on_event or (lambda event: None)
    if resume is not None:
        refuse_beside_resume(model, data, out, config, *options.values())
        return go_on("pretrain", make, PretrainSettings, Path(resume), on_event)
    recipe = read_settings(Path(config)) if config else {}
    given = {"model": model, "data": data, **options}
    settings = merge(DEFAULTS, pace(recipe, given), recipe, given, where="qkv pretrain", kind=PretrainSettings)
    job = make(settings)
    name = "stdin" if settings.data == "-" else Path(settings.data).stem
    return start("pretrain", job, settings, free_folder(out, f"{settings.model}-{name}"), on_event)


def make(settings: PretrainSettings) -> Job:
    """Return the training that settings stand for."""
    family, size = get_size(settings.model)
    objective = raw_text.natural_objective(settings.model, family.net, settings.objective)  # type: ignore[arg-type]
    documents = raw_text.open_text(settings)
    tokenizer = make_tokenizer(settings, documents, writes=objective == "causal")
    cfg = plan(size, tokenizer, raw_text.HEADS[objective], settings.dropout, settings.dropout_attention)
    seeds.plant(settings.recipe.seed, 0)
    kind = Writer if objective == "causal" else Reader
    return raw_text.make_job(kind(family.net(cfg), tokenizer, card={"data": settings.data}), documents, settings)


def make_tokenizer(settings: PretrainSettings, documents: TextSplits, *, writes: bool) -> TextTokenizer:
    """Return the tokenizer that settings name, or learn one from the training split."""
    if settings.tokenizer is not None:
        return TextTokenizer.load(settings.tokenizer)
    return learn_tokenizer(documents.train, settings.vocab_size, settings.model, writes=writes)


def learn_tokenizer(texts: list[str], vocab_size: int | None, model: str, *, writes: bool) -> TextTokenizer:
    """Learn byte pairs for a net that writes, word pieces for one that reads: as many as its size has, up to 8,000."""
    most = vocab_size or min(get_size(model)[1].vocab_size, MOST_TOKENS)
    return (train_byte_bpe if writes else train_wordpiece)(texts, most)


def plan(
    size: Any, tokenizer: TextTokenizer, head: str, dropout: float | None, dropout_attention: float | None, **more: Any
) -> Any:
    """Return the configuration of a net of this size for a tokenizer and a head; dropout None is the size's own."""
    return settled(
        size,
        vocab_size=tokenizer.vocab_size,
        head=head,
        pooler=False,
        start_id=tokenizer.start_id,
        end_ids=None if tokenizer.end_id is None else (tokenizer.end_id,),
        pad_id=tokenizer.pad_id,
        dropout=dropout,
        dropout_embed=dropout,
        dropout_attention=dropout_attention,
        **more,
    )
