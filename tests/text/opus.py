"""Folders of tokenizers laid out as OPUS-MT's, with SentencePiece models learned on the spot."""

import io
import json
from functools import cache
from pathlib import Path
from pydoc_data import topics
from typing import Any

import sentencepiece

LINES = [line for topic in topics.topics.values() for line in topic.split("\n") if line.strip()]
RUSSIAN = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстувшхыз")


def trained(lines: list[str], **options: object) -> bytes:
    """Learn a small SentencePiece model."""
    model = io.BytesIO()
    settings: dict[str, Any] = {"vocab_size": 400, "character_coverage": 0.999, "minloglevel": 2} | options
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, **settings)
    return model.getvalue()


def pieces(model: bytes) -> list[str]:
    """List the ordinary pieces of a model."""
    read = sentencepiece.SentencePieceProcessor()
    read.LoadFromSerializedProto(model)
    return [read.IdToPiece(i) for i in range(read.GetPieceSize()) if not read.IsControl(i) and not read.IsUnknown(i)]


@cache
def models() -> tuple[bytes, bytes]:
    """Learn a model for English, and one for the same letters in Cyrillic."""
    lines = LINES[:3000]
    return trained(lines), trained([line.lower().translate(RUSSIAN) for line in lines], model_type="bpe")


def vocabulary(names: list[str]) -> dict[str, int]:
    """Number pieces as OPUS-MT does: the end first, padding last; every ninth piece is lost on the way."""
    kept = [name for i, name in enumerate(dict.fromkeys(names)) if i % 9]
    return {name: i for i, name in enumerate(["</s>", "<unk>", *kept, "<pad>"])}


def lay_out(folder: Path, kind: str) -> Path:
    """Write a tokenizer's folder. kind: "shared" (one vocabulary), "separate" (two) or "multilingual"."""
    source, target = models()
    folder.mkdir(exist_ok=True)
    (folder / "source.spm").write_bytes(source)
    (folder / "target.spm").write_bytes(target)
    settings: dict[str, object] = {"source_lang": "en", "target_lang": "ru", "model_max_length": 512}
    if kind == "separate":
        settings |= {"separate_vocabs": True, "clean_up_tokenization_spaces": True}
        (folder / "vocab.json").write_text(json.dumps(vocabulary(pieces(source)[:380])), "utf-8")
        (folder / "target_vocab.json").write_text(json.dumps(vocabulary(pieces(target)[:380])), "utf-8")
    else:
        languages = [">>fra<<", ">>deu<<", ">>zho_Hans<<"] if kind == "multilingual" else []
        names = vocabulary([*pieces(source), *pieces(target), "x", *languages])
        (folder / "vocab.json").write_text(json.dumps(names, ensure_ascii=False, indent=2), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return folder
