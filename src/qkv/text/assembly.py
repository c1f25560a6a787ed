"""A public tokenizer put together from its files: vocabulary, class, special tokens, and what surrounds a text.

A tokenizer.json of a class that `recipes.py` knows gives its vocabulary, its table of characters and its
post-processor, and the class does the rest, as in transformers 5.23; of any other class it is taken as it stands.
"""

import base64
import json
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as Library

from qkv.base.errors import DataError, UnsupportedError
from qkv.text.checks import guarded, read_json
from qkv.text.layouts import (
    CONFIG,
    JSON,
    MODELS,
    NAMED,
    TOKENS,
    Vocabulary,
    as_token,
    check_ids,
    extra_tokens,
    is_named,
    read_added,
    read_settings,
    read_vocabulary,
)
from qkv.text.pieces import LONGEST, is_charsmap
from qkv.text.recipes import CLASSES, RECIPES, Recipe, plain

MOST_GROWTH = 10_000
PROBE = "a \u0001☃"
# What special tokens are usually called, for a tokenizer.json that has nothing beside it to say so.
_USUAL = {
    "bos_token": ("<s>", "<|begin_of_text|>", "<|endoftext|>"),
    "eos_token": ("</s>", "<|end_of_text|>", "<|endoftext|>"),
    "unk_token": ("[UNK]", "<unk>"),
    "sep_token": ("[SEP]",),
    "pad_token": ("[PAD]", "<pad>"),
    "cls_token": ("[CLS]",),
    "mask_token": ("[MASK]", "<mask>"),
}


@dataclass(slots=True)
class Assembled:
    """A tokenizer of the library, the ids of its special tokens by their names, and its settings."""

    library: Library
    named: dict[str, int]
    settings: dict[str, Any]


def find_class(folder: Path, files: Mapping[str, bytes], config: Mapping[str, Any]) -> str:
    """Return the class that a folder's files name, or that their model has, or that their layout shows.

    Empty for one that is to be taken as it stands in tokenizer.json; UnsupportedError for any other that is unknown.
    """
    with _guarded(folder, files):
        return _class(folder, files, config)


def assemble(folder: Path, files: Mapping[str, bytes], kind: str) -> Assembled:
    """Put a tokenizer together; DataError names the file that is broken and the reason."""
    with _guarded(folder, files):
        settings = read_settings(folder, files)
        words = read_vocabulary(folder, files)
        if not kind and words.whole is None:
            raise DataError(
                f"{words.file} may be CamemBERT's or XLM-R's, which number their tokens differently: name its "
                f"tokenizer_class in {CONFIG}."
            )
        added = read_added(folder, files, settings, words)
        recipe = RECIPES.get(kind, Recipe(make=_as_it_stands, special={}))
        named = _named(folder, settings, added, recipe, words)
        library = recipe.make(_arranged(words, recipe, named), settings, named)
        _add_tokens(folder, library, added, [*named.values(), *_extra(folder, settings, recipe, words)])
        library.encode_special_tokens = settings.get("split_special_tokens", False)
        _surround(library, settings, recipe, named, words)
        _check(words.file, library, words)
    ids = {name: i for name, token in named.items() if (i := library.token_to_id(str(token))) is not None}
    return Assembled(library, ids, settings)


def _guarded(folder: Path, files: Mapping[str, bytes]) -> AbstractContextManager[None]:
    names = [name for name in files if name in (JSON, CONFIG) or JSON not in files]
    return guarded(f"{folder}: no tokenizer that can be used is in {', '.join(names)}")


def _class(folder: Path, files: Mapping[str, bytes], config: Mapping[str, Any]) -> str:
    settings = read_json(folder / CONFIG, files.get(CONFIG, b"{}"))
    declared = settings.get("tokenizer_class") or config.get("tokenizer_class")
    kind = str(declared).removesuffix("Fast") if declared else CLASSES.get(str(config.get("model_type")), "")
    if JSON in files:
        # Llama 3 is often declared a LlamaTokenizer, whose SentencePiece it does not have.
        return "" if kind not in RECIPES or (kind == "LlamaTokenizer" and b'"ByteLevel"' in files[JSON]) else kind
    if kind in RECIPES:
        return kind
    if declared:
        raise UnsupportedError(
            f"{folder / CONFIG} declares a {declared!s:.60}, which qkv knows only from a {JSON}; "
            f"it has {', '.join(RECIPES)}."
        )
    return _guess(folder, files)


def _guess(folder: Path, files: Mapping[str, bytes]) -> str:
    """Return the class that a layout has when nothing says more; empty where it may be one of two."""
    words = read_vocabulary(folder, files)
    if words.file.name in MODELS:
        return {"spm.model": "DebertaV2Tokenizer", "tokenizer.model": "LlamaTokenizer"}.get(words.file.name, "")
    if words.merges is None:
        return "BertTokenizer"
    if any(token.endswith("</w>") for token in words.tokens if isinstance(token, str)):
        return "OpenAIGPTTokenizer"
    return "RobertaTokenizer" if "<mask>" in words.tokens else "GPT2Tokenizer"


def _named(
    folder: Path, settings: Mapping[str, Any], added: Mapping[int, AddedToken], recipe: Recipe, words: Vocabulary
) -> dict[str, AddedToken]:
    """Return the special tokens that have a name, with the flags they are added with; the usual seven come first."""
    told: dict[str, Any] = dict(recipe.special)
    told |= {key: value for key, value in settings.items() if is_named(key, value) or key in NAMED}
    flagged = {str(token): token for token in added.values()}
    if not told and words.whole is not None:
        known = {text for text, token in flagged.items() if token.special}
        told = {name: text for name, usual in _USUAL.items() for text in usual if text in known}
    order = [*NAMED, *sorted(told.keys() - {*NAMED})]
    for name in recipe.spaced:
        if isinstance(told[name], str):
            told[name] = {"content": told[name], "lstrip": True, "special": True}
    tokens = {
        name: as_token(folder / f"{CONFIG} or {TOKENS}", told[name]) for name in order if told.get(name) is not None
    }
    for token in tokens.values():
        token.special = True
    return {name: flagged.get(str(token), token) for name, token in tokens.items()}


def _extra(folder: Path, settings: Mapping[str, Any], recipe: Recipe, words: Vocabulary) -> list[AddedToken]:
    told = extra_tokens(settings)
    if told is None:
        return words.found or [as_token(folder / CONFIG, text) for text in recipe.extra]
    return [as_token(folder / CONFIG, token) for token in told]


def _arranged(words: Vocabulary, recipe: Recipe, named: Mapping[str, AddedToken]) -> Vocabulary:
    """Number the tokens as the net does, and find SentencePiece's table in a tokenizer.json."""
    if words.whole is None:
        if recipe.arranged is not None and isinstance(words.tokens, list):
            return replace(words, tokens=recipe.arranged(words.tokens, named))
        return words
    steps = words.whole.get("normalizer") or {}
    for step in steps.get("normalizers", [steps]):
        if step.get("type") == "Precompiled" and step.get("precompiled_charsmap"):
            charsmap = base64.b64decode(step["precompiled_charsmap"], validate=True)
            if not is_charsmap(charsmap):
                raise DataError(f"{words.file}: its map of characters is damaged. Download it again.")
            return replace(words, charsmap=charsmap)
    return words


def _as_it_stands(words: Vocabulary, settings: Mapping[str, Any], named: Mapping[str, AddedToken]) -> Library:
    """Read a tokenizer.json; text is never cut or filled up silently, nor grows without end, whatever it says."""
    whole = words.whole or {}
    for part in ("normalizer", "decoder"):
        if _growth(whole.get(part)) > MOST_GROWTH:
            raise DataError(f"{words.file}: its {part} makes a text more than {MOST_GROWTH:,} times as long.")
    return Library.from_str(json.dumps({**whole, "truncation": None, "padding": None}))


def _growth(step: dict[str, Any] | None) -> int:
    """Return how many times longer a step can make a text, or all the steps of a sequence together."""
    step = step or {}
    steps = step.get("normalizers", step.get("decoders", ()))
    grown = len(str(step.get("content", step.get("prepend", ""))))
    return math.prod(map(_growth, steps), start=LONGEST if step.get("type") == "Precompiled" else 1 + grown)


def _add_tokens(folder: Path, library: Library, added: Mapping[int, AddedToken], special: list[AddedToken]) -> None:
    """Add tokens in the order of their ids, then the special ones; an id that cannot be had raises DataError."""
    present = {*map(str, library.get_added_tokens_decoder().values())}
    library.add_tokens([token for _, token in sorted(added.items()) if str(token) not in present])
    for i, token in sorted(added.items()):
        if library.token_to_id(str(token)) != i:
            raise DataError(
                f"{folder}: the added token {str(token)!r:.60} should have the id {i}, but the vocabulary gives it "
                f"{library.token_to_id(str(token))}."
            )
    present |= {*map(str, added.values())}
    library.add_tokens([token for token in special if str(token) not in present])


def _surround(
    library: Library,
    settings: Mapping[str, Any],
    recipe: Recipe,
    named: Mapping[str, AddedToken],
    words: Vocabulary,
) -> None:
    """Set what stands around texts: as the class has it, as tokenizer.json has it, or as the settings ask."""
    if recipe.surround is not None:
        library.post_processor = recipe.surround(library, settings, named)
        return
    stated = (words.whole or {}).get("post_processor")
    if stated is None:
        asked = {} if words.whole is not None else settings
        library.post_processor = plain(asked, named)(library, settings, named)
    elif library.post_processor is None:
        bare = {"version": "1.0", "added_tokens": [], "model": {"type": "WordLevel", "vocab": {}, "unk_token": ""}}
        library.post_processor = Library.from_str(json.dumps(bare | {"post_processor": stated})).post_processor


def _check(path: Path, library: Library, words: Vocabulary) -> None:
    """Refuse a tokenizer with two tokens of one id, or whose special tokens are not those of its vocabulary."""
    check_ids(path, library.get_vocab(with_added_tokens=True))
    encoding = library.encode(PROBE, "b")  # what the library cannot do without shows only now
    for token, i, special in zip(encoding.tokens, encoding.ids, encoding.special_tokens_mask, strict=True):
        if special and library.token_to_id(token) != i:
            raise DataError(
                f"{path}: its post-processor gives {token!r:.60} the id {i}, its vocabulary "
                f"{library.token_to_id(token)}."
            )
    library.decode(encoding.ids)
