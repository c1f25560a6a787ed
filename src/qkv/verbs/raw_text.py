"""Trainings on raw text, whatever they start from: which objective, what its examples are, what the net then writes."""

from collections.abc import Sequence
from typing import Any

import torch

from qkv.base.errors import ConfigError
from qkv.data.text import TextSplits, open_documents
from qkv.data.text_report import check_texts
from qkv.model import Reader, Writer
from qkv.models.family import Decoder, Encoder
from qkv.tasks.causal import Causal, Windows
from qkv.tasks.masked import Masked
from qkv.text.public import TextTokenizer
from qkv.verbs.card import Told
from qkv.verbs.generate import Written, generate
from qkv.verbs.read import Filled, fill
from qkv.verbs.running import Job, hash_texts
from qkv.verbs.settings import LearnSettings, PretrainSettings

HEADS = {"causal": "lm", "mlm": "mlm"}
_PROMPT, _WRITTEN = 8, 60
_GAPPED = 14


def natural_objective(name: str, net: type, asked: str | None) -> str:
    """Return what a net learns from raw text; ConfigError where it cannot, or not what was asked for."""
    natural = "mlm" if issubclass(net, Encoder) else "causal" if issubclass(net, Decoder) else None
    if natural is None:
        raise ConfigError(f"{name} does not learn from raw text; train it with qkv train, or take gpt-tiny, bert-tiny.")
    if asked not in (None, natural):
        told = "sees a text from both sides" if natural == "mlm" else "sees what comes before alone"
        raise ConfigError(f"{name} {told}: its objective is {natural}, not {asked}.")
    return natural


def open_text(settings: PretrainSettings | LearnSettings) -> TextSplits:
    """Return the documents that settings name."""
    return open_documents(settings.data, valid=settings.valid, on_bad=settings.on_bad)


def make_job(
    model: Reader | Writer,
    documents: TextSplits,
    settings: PretrainSettings | LearnSettings,
    *,
    base: Sequence[torch.Tensor] = (),
    notes: Sequence[str] = (),
) -> Job:
    """Return the training of a model on documents; base: the weights that it starts from, if from any."""
    tokenizer, cfg, window = model.tokenizer, model.net.cfg, settings.window
    if isinstance(model, Writer):
        task = Causal(tokenizer, cfg, window=window)
    else:
        task = Masked(tokenizer, cfg, window=window, share=settings.share, whole_words=settings.whole_words)
    parts: list[Any] = [task.encode(part) for part in (documents.train, documents.validation)]
    report = check_texts(
        settings.data,
        documents.train,
        documents.reading,
        cut=lambda text: tokenizer.encode(text, special=False).spans,
        samples=[task.length(one) for one in parts[0]],
        budget=settings.recipe.budget,
        splits={"validation": documents.validation},
    )
    writes = isinstance(model, Writer)
    return Job(
        model=model,
        task=task,
        examples=parts[0],
        watched=parts[1],
        report=report,
        sha256=hash_texts([], *map(_ids, parts), *base),
        notes=notes,
        sample=lambda: _sample(model, documents.validation[0]),
        told=Told(
            title=f"{settings.model} trained on {settings.data}",
            what="to go on with texts" if writes else "to fill gaps in texts",
            data=f"{settings.data}, {len(_ids(parts[0])):,} tokens, vocabulary {tokenizer.vocab_size:,}",
            commands=('generate {} "..."',) if writes else ('fill {} "... ' + mask_of(tokenizer) + ' ..."',),
        ),
    )


def mask_of(tokenizer: TextTokenizer) -> str:
    """Return how a gap is written; empty where the tokenizer has none."""
    return "" if tokenizer.mask_id is None else tokenizer.pieces([tokenizer.mask_id])[0]


def _ids(examples: Any) -> torch.Tensor:
    return examples.ids if isinstance(examples, Windows) else torch.cat([one.ids for one in examples])


def _sample(model: Reader | Writer, document: str) -> list[Written] | list[Filled]:
    """Let a model go on with the beginning of a text, or guess the longest word of it."""
    paragraphs = [paragraph.split() for paragraph in document.split("\n\n")]
    words = next((some for some in paragraphs if len(some) >= _GAPPED), document.split())[:_GAPPED]
    if isinstance(model, Writer):
        prompt = " ".join(words[:_PROMPT])
        room = min(_WRITTEN, model.net.cfg.max_len - len(model.tokenizer.encode(prompt).ids))
        return generate(model, [prompt], n_tokens=room, temperature=0.8, top_p=0.95) if room > 0 else []
    hidden = max(range(len(words)), key=lambda i: (words[i].isalpha(), len(words[i])))
    words[hidden] = mask_of(model.tokenizer)
    text = " ".join(words)
    fits = len(model.tokenizer.encode(text).ids) <= model.net.cfg.max_len
    return fill(model, [text], top=3) if fits else []
