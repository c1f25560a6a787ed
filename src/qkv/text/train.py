"""Tokenizers learned from texts, in the layouts of public models: BERT's word pieces and GPT-2's byte pairs."""

import json
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer as Library
from tokenizers import models, normalizers, pre_tokenizers, trainers

from qkv.base.errors import ConfigError, DataError
from qkv.text.checks import checked_texts
from qkv.text.layouts import CONFIG, MERGES, VOCAB_JSON, VOCAB_TXT
from qkv.text.public import TextTokenizer

_BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_END = "<|endoftext|>"


def train_wordpiece(texts: Iterable[str], vocab_size: int) -> TextTokenizer:
    """Learn at most `vocab_size` lower-case word pieces, as BERT's; the same texts give the same pieces.

    [PAD] [UNK] [CLS] [SEP] [MASK], then the commonest characters, a quarter of the vocabulary at most, each as the
    beginning of a word and as its continuation, then what they are joined to. Schuster and Nakajima, "Japanese and
    Korean Voice Search", ICASSP 2012, https://research.google/pubs/japanese-and-korean-voice-search/.
    """
    if vocab_size < 64:
        raise ConfigError(f"vocab_size is {vocab_size}; word pieces need at least 64.")
    texts = list(checked_texts(texts))
    library = Library(models.WordPiece(unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer()
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update("".join(library.normalizer.normalize_str(text).split()))
    if not counts:
        raise DataError("There is no text to learn a tokenizer from: every string is empty.")
    common = sorted(counts, key=lambda character: (-counts[character], character))[: vocab_size // 4]
    # The trainer numbers what it meets in an order that changes from run to run: it must meet nothing new.
    known = [*_BERT, *sorted(common), *(f"##{character}" for character in sorted(common))]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=known,
        initial_alphabet=common,
        limit_alphabet=len(common),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    lines = "".join(f"{token}\n" for token in _by_id(library))
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    return TextTokenizer({VOCAB_TXT: lines.encode(), CONFIG: _json(settings)}, "BertTokenizer")


def train_byte_bpe(texts: Iterable[str], vocab_size: int) -> TextTokenizer:
    """Learn byte pairs as GPT-2's, at most `vocab_size` tokens: the 256 bytes, merges of them, and <|endoftext|>.

    Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.2,
    https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf.
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if vocab_size <= len(alphabet):
        raise ConfigError(f"vocab_size is {vocab_size}; byte pairs need at least {len(alphabet) + 1}.")
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=vocab_size - 1, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(checked_texts(texts), trainer)
    ids = {token: i for i, token in enumerate([*_by_id(library), _END])}
    merges = json.loads(library.to_str())["model"]["merges"]
    files = {
        VOCAB_JSON: json.dumps(ids, ensure_ascii=False).encode(),
        MERGES: "".join(["#version: 0.2\n", *(f"{left} {right}\n" for left, right in merges)]).encode(),
        CONFIG: _json({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}),
    }
    return TextTokenizer(files, "GPT2Tokenizer")


def _by_id(library: Library) -> list[str]:
    ids = library.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _json(settings: dict[str, object]) -> bytes:
    return (json.dumps(settings, indent=2) + "\n").encode()
