"""The files that public tokenizers are kept in: which of them a folder has, what they say, and what is wrong with them.

A tokenizer is a tokenizer.json, or the files its class had before that: vocab.txt, vocab.json with merges.txt, or a
SentencePiece model. tokenizer_config.json and special_tokens_map.json (older: added_tokens.json) name its class, its
special tokens and its settings; config.json, the model's own, names its kind. Nothing in them is ever run: the names
of classes are looked up in `recipes.py`, and no more.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from qkv.base.errors import DataError
from qkv.base.strays import find_stray
from qkv.text.checks import read_json
from qkv.text.pieces import CONTROL, USER_DEFINED, read_pieces

JSON, CONFIG, TOKENS, ADDED = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
VOCAB_TXT, VOCAB_JSON, MERGES = "vocab.txt", "vocab.json", "merges.txt"
MODELS = ("sentencepiece.bpe.model", "spm.model", "tokenizer.model")
FILES = (JSON, VOCAB_JSON, MERGES, VOCAB_TXT, *MODELS, CONFIG, TOKENS, ADDED, "chat_template.jinja")

NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SWITCHES = {
    "add_bos_token", "add_eos_token", "add_prefix_space", "clean_up_tokenization_spaces", "do_lower_case", "legacy",
    "split_by_punct", "split_special_tokens", "strip_accents", "tokenize_chinese_chars", "trim_offsets",
}  # fmt: skip
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
# What Rust calls white space, and takes off the end of each line of a vocab.txt.
_SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_STRAYS = {
    "pointer": "a Git LFS pointer, not the tokenizer: run git lfs pull in its folder",
    "page": "an HTML page: the download was an error page. Download it again",
}


@dataclass(slots=True)
class Vocabulary:
    """What a tokenizer's files say of its tokens.

    tokens: each with its id, or (Unigram) a list of each with its score. merges: None where there are none to be had.
    found: the control and user-defined pieces of a SentencePiece model. added: tokens beside the vocabulary, by id.
    unknown: the place of SentencePiece's unknown piece. charsmap: its normaliser. whole: all of a tokenizer.json.
    """

    file: Path
    tokens: dict[str, int] | list[tuple[str, float]]
    merges: list[tuple[str, str]] | None = None
    unknown: int | None = None
    charsmap: bytes = b""
    found: list[AddedToken] = field(default_factory=list)
    added: dict[int, AddedToken] = field(default_factory=dict)
    whole: dict[str, Any] | None = None


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder that belong to a tokenizer; DataError names one that is no such file."""
    files = {name: (folder / name).read_bytes() for name in FILES if (folder / name).is_file()}
    for name, data in files.items():
        if not data:
            raise DataError(f"{folder / name} is empty (0 bytes): the download or the copy did not happen.")
        if (stray := find_stray(data)) is not None:
            raise DataError(f"{folder / name} is {_STRAYS[stray]}.")
    return files


def read_settings(folder: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the settings of tokenizer_config.json, with the tokens of special_tokens_map.json where it has none."""
    settings = read_json(folder / CONFIG, files.get(CONFIG, b"{}"))
    if "added_tokens_decoder" not in settings and TOKENS in files:
        for key, value in read_json(folder / TOKENS, files[TOKENS]).items():
            settings[key] = value | {"special": True} if isinstance(value, dict) and "content" in value else value
    for key in SWITCHES & settings.keys():
        if not isinstance(settings[key], bool | None):
            raise DataError(f"{folder / CONFIG}: {key} is {settings[key]!r:.80}, wanted true or false.")
    return settings


def read_vocabulary(folder: Path, files: Mapping[str, bytes]) -> Vocabulary:
    """Return what the first layout found says: tokenizer.json, vocab.json + merges.txt, vocab.txt, *.model."""
    spm = next((name for name in MODELS if name in files), None)
    if JSON in files:
        return _read_whole(folder / JSON, files[JSON])
    if VOCAB_JSON in files and MERGES in files:
        tokens = check_ids(folder / VOCAB_JSON, read_json(folder / VOCAB_JSON, files[VOCAB_JSON]))
        return Vocabulary(folder / VOCAB_JSON, tokens, _read_merges(folder / MERGES, files[MERGES]))
    if VOCAB_TXT in files:
        lines = _lines(folder / VOCAB_TXT, files[VOCAB_TXT])
        return Vocabulary(folder / VOCAB_TXT, {line.rstrip(_SPACE): i for i, line in enumerate(lines)})
    if spm is not None:
        return _read_model(folder / spm, files[spm])
    half = [name for name in (VOCAB_JSON, MERGES) if name in files]
    raise DataError(
        f"No tokenizer in {folder}: looked for {JSON}, {VOCAB_JSON} + {MERGES}, {VOCAB_TXT}, *.model"
        + (f"; of the second there is only {half[0]}." if half else ".")
    )


def read_added(
    folder: Path, files: Mapping[str, bytes], settings: Mapping[str, Any], words: Vocabulary
) -> dict[int, AddedToken]:
    """Return the tokens added to a vocabulary: as tokenizer_config.json says, or the older files."""
    told = settings.get("added_tokens_decoder")
    if told is not None:
        return {
            _id(folder / CONFIG, i): as_token(folder / CONFIG, token)
            for i, token in _object(folder / CONFIG, told).items()
        }
    special = {str(as_token(folder / CONFIG, value)) for key, value in settings.items() if is_named(key, value)}
    special |= {str(as_token(folder / CONFIG, value)) for value in extra_tokens(settings) or ()}
    added = {}
    for text, i in read_json(folder / ADDED, files.get(ADDED, b"{}")).items():
        token = AddedToken(text, normalized=text not in special, special=text in special)
        added[_id(folder / ADDED, i)] = token
    return added | words.added


def is_named(key: str, value: object) -> bool:
    """Tell whether a setting names a special token, such as "mask_token"."""
    return key.endswith("_token") and isinstance(value, str | dict)


def extra_tokens(settings: Mapping[str, Any]) -> list[Any] | None:
    """Return the special tokens that have no name, or None if the settings do not say."""
    told = settings.get("extra_special_tokens") or settings.get("additional_special_tokens")
    if told is None or isinstance(told, list):
        return told
    if not isinstance(told, dict):
        raise DataError(f"{CONFIG}: extra_special_tokens is {told!r:.80}, wanted a list.")
    return [*told.values()]


def as_token(path: Path, value: object) -> AddedToken:
    """Return a token that a file writes as a string, or as an object with flags."""
    if isinstance(value, str):
        return AddedToken(value, special=True)
    flags = value if isinstance(value, dict) else {}
    if not isinstance(flags.get("content"), str) or any(not isinstance(flags.get(key, False), bool) for key in _FLAGS):
        raise DataError(f"{path}: {json.dumps(value)[:120]} is no token; it needs a content and flags.")
    return AddedToken(
        flags["content"], special=bool(flags.get("special")), **{key: flags[key] for key in _FLAGS if key in flags}
    )


def check_ids(path: Path, tokens: Mapping[Any, Any]) -> dict[str, int]:
    """Return a vocabulary whose ids are whole numbers, each once; DataError names the first that is not."""
    taken: dict[int, str] = {}
    for text, i in tokens.items():
        if not isinstance(text, str) or type(i) is not int or not 0 <= i < 2**31:
            raise DataError(f"{path}: the id of {text!r:.60} is {i!r:.60}; ids are whole numbers from 0.")
        if i in taken:
            raise DataError(f"{path}: {taken[i]!r:.60} and {text!r:.60} both have the id {i}. Download it again.")
        taken[i] = text
    return dict(tokens)


def _read_whole(path: Path, data: bytes) -> Vocabulary:
    whole = read_json(path, data)
    model = _object(path, whole.get("model"))
    cut = whole.get("truncation")
    if cut and not cut["stride"] < cut["max_length"]:
        raise DataError(
            f"{path}: truncation.stride ({cut['stride']}) must be smaller than max_length ({cut['max_length']})."
        )
    tokens = model.get("vocab")
    if isinstance(tokens, list):
        tokens = [(text, float(score)) for text, score in tokens]
    elif not isinstance(tokens, dict):
        raise DataError(f"{path} has no vocabulary: model.vocab is a {type(tokens).__name__}.")
    else:
        check_ids(path, tokens)
    merges = model.get("merges")
    if merges is not None:
        merges = [_pair(path, merge.split(" ") if isinstance(merge, str) else merge) for merge in merges]
    added = {_id(path, token["id"]): as_token(path, token) for token in whole.get("added_tokens") or ()}
    return Vocabulary(path, tokens, merges, added=added, whole=whole)


def _read_merges(path: Path, data: bytes) -> list[tuple[str, str]]:
    lines = enumerate(_lines(path, data), 1)
    return [_pair(path, line.split(" "), i) for i, line in lines if not line.startswith("#version")]


def _read_model(path: Path, data: bytes) -> Vocabulary:
    model = read_pieces(path, data)
    found = [
        AddedToken(piece.text, normalized=False, special=piece.kind == CONTROL)
        for piece in model.pieces
        if piece.kind in (CONTROL, USER_DEFINED)
    ]
    if model.algorithm == "unigram":
        scores = [(piece.text, piece.score) for piece in model.pieces]
        return Vocabulary(path, scores, None, model.unknown, model.charsmap, found)
    if model.algorithm != "bpe":
        raise DataError(f"{path} was trained to cut {model.algorithm}s; only unigram and bpe models are known.")
    tokens = {piece.text: i for i, piece in enumerate(model.pieces)}
    return Vocabulary(path, tokens, _merges_of(tokens), model.unknown, model.charsmap, found)


def _merges_of(tokens: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return the merges that make a SentencePiece vocabulary: each cut of each piece in two, in the pieces' order."""
    cuts = ((piece[:i], piece[i:]) for piece in tokens for i in range(1, len(piece)))
    return [(left, right) for left, right in cuts if left in tokens and right in tokens]


def _lines(path: Path, data: bytes) -> list[str]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. Download it again."
        ) from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _pair(path: Path, merge: Iterable[Any], line: int | None = None) -> tuple[str, str]:
    parts = list(merge)
    if len(parts) != 2 or not all(isinstance(part, str) for part in parts):
        where = f"{path}, line {line}" if line else str(path)
        raise DataError(f"{where}: {' '.join(map(str, parts))[:60]!r} is no merge; it takes two parts and one space.")
    return parts[0], parts[1]


def _id(path: Path, value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or len(text) > 9:
        raise DataError(f"{path}: {value!r:.60} is no token id.")
    return int(text)


def _object(path: Path, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path}: {json.dumps(value)[:80]} stands where an object should.")
    return value
