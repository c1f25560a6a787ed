"""The tokenizers of public text models: text to ids and back, with the special tokens that a model expects around it.

They stand on the `tokenizers` library and read every layout that public models are kept in (`layouts.py`); the ids are
those of transformers 5.23 from the same folder. A special token that is spelled out in a text, such as "[MASK]", is
that token.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path

from tokenizers import Tokenizer as Library
from tokenizers import decoders, models

from qkv.base import files
from qkv.base.errors import ShapeError
from qkv.text.assembly import assemble, find_class
from qkv.text.checks import check_unicode, checked_ids, guarded, read_json
from qkv.text.layouts import CONFIG, read_files
from qkv.text.sentencepiece import tidy


@dataclass(slots=True)
class Encoding:
    """One text, or a pair of texts, as ids.

    segments: 0 or 1, as the model's table of segments has it. spans: the characters `text[start:end]` of its text that
    each token stands for. words: the number of the word in its text, None for special tokens. special: True for the
    tokens that the tokenizer put around the text.
    """

    ids: list[int]
    segments: list[int]
    spans: list[tuple[int, int]]
    words: list[int | None]
    special: list[bool]


class TextTokenizer:
    """Turns text into ids and back, as one public model does; made by `load`, `train_wordpiece`, `train_byte_bpe`.

    content: what a tokenizer's folder holds, by name. kind: the class of tokenizers it is; empty to take its
    tokenizer.json as it stands.
    """

    def __init__(self, content: Mapping[str, bytes], kind: str, folder: Path = Path()) -> None:
        made = assemble(folder, content, kind)
        self._files, self._kind, self._folder, self._library = dict(content), kind, folder, made.library
        named, model = made.named, made.library.model
        self.mask_id = named.get("mask_token")
        self.start_id = named.get("cls_token", named.get("bos_token"))
        self.end_id = named.get("sep_token", named.get("eos_token"))
        self.unknown_id = named.get("unk_token")
        self.pad_id: int = named.get("pad_token", self.end_id or 0)
        self._size = 1 + max(made.library.get_vocab(with_added_tokens=True).values())
        # transformers does not tidy up after byte pairs, whatever the settings say: it would lose spaces.
        self._tidy = bool(made.settings.get("clean_up_tokenization_spaces")) and not isinstance(model, models.BPE)
        self._cut_left = made.settings.get("truncation_side") == "left"

    @property
    def vocab_size(self) -> int:
        """The number of ids, special and added tokens included."""
        return self._size

    def encode(
        self,
        text: str,
        pair: str | None = None,
        *,
        special: bool = True,
        max_len: int | None = None,
        truncate: bool = False,
        stride: int = 0,
    ) -> Encoding:
        """Return a text, or a pair of texts, as ids, with the special tokens around unless `special` is False.

        More than `max_len` tokens raise ShapeError; with `truncate` the longer of a pair is cut first, and what comes
        back is the first of the pieces that `split` would give with this stride.
        """
        whole, sides = self._encode(text, pair, special)
        if max_len is None or len(whole.ids) <= max_len:
            return whole
        if not truncate:
            raise ShapeError(
                f"Input has {len(whole.ids)} tokens; this model has {max_len} positions. "
                "Use --truncate, or --stride 128 to split."
            )
        room = _room(whole, sides, max_len, stride)
        lengths = _longest_first([len(side) for side in sides], room)
        starts = [len(side) - n if self._cut_left else 0 for side, n in zip(sides, lengths, strict=True)]
        kept = [side[start : start + n] for side, start, n in zip(sides, starts, lengths, strict=True)]
        return _take(whole, sides, kept)

    def split(self, text: str, *, max_len: int, stride: int) -> list[Encoding]:
        """Return a text in pieces of at most `max_len` tokens, special ones included; neighbours share `stride` tokens.

        The spans and the words are those in the whole text. Raises ShapeError where nothing fits.
        """
        whole, sides = self._encode(text, None, True)
        side, room = sides[0], _room(whole, sides, max_len, stride)
        if room <= stride:
            raise ShapeError(f"A stride of {stride} leaves nothing new in pieces of {room} tokens of text.")
        last = max(len(side) - stride, 1)
        return [_take(whole, sides, [side[start : start + room]]) for start in range(0, last, room - stride)]

    def decode(self, ids: Iterable[int], *, keep_special: bool = False) -> str:
        """Return the text of ids, without special tokens unless `keep_special`.

        Raises ShapeError for an id outside the vocabulary.
        """
        ids = checked_ids(ids, self.vocab_size)
        with self._guarded():
            text = self._library.decode(ids, skip_special_tokens=not keep_special)
        return tidy(text) if self._tidy else text

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return each token as people read it: without the marks of spaces and word ends; half a character as "�".

        Raises ShapeError for an id outside the vocabulary.
        """
        tokens = [self._library.id_to_token(i) or "" for i in checked_ids(ids, self.vocab_size)]
        return [_readable(self._library, token) for token in tokens]

    def save(self, folder: str | Path) -> list[str]:
        """Write the tokenizer's files into a folder, as they were read; return their names.

        Only tokenizer_config.json is written anew, and only if the class, which the model's config.json told, would
        be lost without it.
        """
        content, place = dict(self._files), Path(folder)
        if find_class(place, content, {}) != self._kind:
            settings = read_json(place / CONFIG, content.get(CONFIG, b"{}"))
            content[CONFIG] = (json.dumps(settings | {"tokenizer_class": self._kind}, indent=2) + "\n").encode()
        for name, data in content.items():
            files.write_bytes(place / name, data)
        return [*content]

    @classmethod
    def load(cls, folder: str | Path) -> "TextTokenizer":
        """Read the tokenizer of a public model's folder, from whichever files it is kept in.

        Raises DataError that names the file that is missing or broken, UnsupportedError for a class unknown here.
        """
        folder = Path(folder)
        content = read_files(folder)
        config = folder / "config.json"
        told = read_json(config, config.read_bytes()) if config.is_file() else {}
        return cls(content, find_class(folder, content, told), folder)

    def __reduce__(self) -> tuple:
        return TextTokenizer, (self._files, self._kind, self._folder)

    def _encode(self, text: str, pair: str | None, special: bool) -> tuple[Encoding, list[list[int]]]:
        """Return the whole encoding, and where in it the tokens of each text stand."""
        for one in (text, pair or ""):
            check_unicode(one)
        with self._guarded():
            found = self._library.encode(text, pair, add_special_tokens=special)
        around = [bool(mark) for mark in found.special_tokens_mask]
        sides: list[list[int]] = [[] for _ in range(1 if pair is None else 2)]
        for place, side in enumerate(found.sequence_ids):
            if side is not None:
                sides[side].append(place)
        return Encoding(found.ids, found.type_ids, found.offsets, found.word_ids, around), sides

    def _guarded(self) -> AbstractContextManager[None]:
        return guarded(f"The tokenizer of {self._folder} cannot be used")


def _room(whole: Encoding, sides: list[list[int]], max_len: int, stride: int) -> int:
    """Return how many tokens of text fit beside the special ones."""
    around = len(whole.ids) - sum(map(len, sides))
    if max_len < around:
        raise ShapeError(f"{max_len} positions are too few: this tokenizer puts {around} special tokens around a text.")
    if stride < 0 or (stride and stride >= max_len - around):
        raise ShapeError(f"A stride of {stride} does not fit: it must be from 0 to {max(max_len - around - 1, 0)}.")
    return max_len - around


def _longest_first(lengths: list[int], room: int) -> list[int]:
    """Return how much of each text is kept: the longer one is cut until both are of one length, then both are."""
    if len(lengths) == 1:
        return [room]
    half = room // 2
    shorter = min(*lengths, half)
    return [shorter, room - shorter] if lengths[0] <= lengths[1] else [room - shorter, shorter]


def _take(whole: Encoding, sides: list[list[int]], kept: list[list[int]]) -> Encoding:
    """Return the encoding with only the kept tokens of each text, and all the special ones."""
    gone = {place for side in sides for place in side} - {place for side in kept for place in side}
    places = [place for place in range(len(whole.ids)) if place not in gone]
    return Encoding(*([getattr(whole, part.name)[place] for place in places] for part in fields(Encoding)))


def _readable(library: Library, token: str) -> str:
    """Return what a token says, without its leading space if it has more than that."""
    model, decoder = library.model, library.decoder
    if isinstance(decoder, decoders.ByteLevel):
        token = decoder.decode([token])
    elif isinstance(model, models.WordPiece):
        token = token.removeprefix(model.continuing_subword_prefix)
    elif isinstance(model, models.BPE) and model.end_of_word_suffix:
        token = token.removesuffix(model.end_of_word_suffix)
    text = token.replace("▁", " ")
    return text.removeprefix(" ") or text
