"""Strings to token ids and back, without loss: words and digits, characters, or byte-pair encoding.

All three stand on the `tokenizers` library and are stored as its tokenizer.json. The tokens of a string, written one
after the other, are the string again: a space belongs to the word, digit or sign after it; every other white space (a
second space, a no-break space, a line end) is a token of its own. Words begin a string as they go on in it, so
"March" is the same token in "March 3" and "in March".
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from tokenizers import Encoding, Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Library

from qkv.base import files
from qkv.base.errors import ConfigError, DataError, nearest
from qkv.text.checks import check_unicode, checked_ids, checked_texts, guarded

Kind = Literal["words", "chars", "bpe"]

SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
PAD, UNK, BOS, EOS = range(4)

# Letters with their marks hold together; each digit, sign and white space stands by itself.
WORD = r" ?(?:[\p{L}\p{M}]+|[^\s\p{L}\p{M}])|\s"
CHARACTER = r"[\s\S]"


@dataclass(slots=True)
class Encoded:
    """The tokens of a string: their ids, and which characters `text[start:end]` each stands for.

    A token's leading space is not in its span. Where one character is several tokens (bytes), each has its span.
    """

    ids: list[int]
    spans: list[tuple[int, int]]


class Tokenizer:
    """Turns strings into token ids and back; made by `train_tokenizer` or `Tokenizer.load`.

    Text cannot pass itself off as a special token: "</s>" in a string becomes the signs it is written with.
    """

    pad_id, unk_id, bos_id, eos_id = PAD, UNK, BOS, EOS

    def __init__(self, library: Library) -> None:
        library.encode_special_tokens = True
        self._library = library

    @property
    def vocab_size(self) -> int:
        """The number of tokens, the four special ones included."""
        return self._library.get_vocab_size()

    def encode(self, text: str) -> Encoded:
        """Return the tokens of a string, without special ones; what the vocabulary lacks becomes `unk_id`.

        Raises DataError for a string that is no Unicode text (half of a surrogate pair).
        """
        check_unicode(text)
        encoding = self._library.encode(text, add_special_tokens=False)
        spans = [(start + (end - start > 1 and text[start] == " "), end) for start, end in encoding.offsets]
        if self._library.normalizer is not None and _begins_with_added_space(encoding):
            spans[0] = (0, 0)
        return Encoded(encoding.ids, spans)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the string of token ids, without padding, start and end; an unknown token shows as "<unk>".

        Raises ShapeError for an id outside the vocabulary.
        """
        ids = checked_ids(ids, self.vocab_size)
        return self._library.decode([i for i in ids if i not in (PAD, BOS, EOS)], skip_special_tokens=False)

    def pieces(self, text: str) -> list[str]:
        """Return the characters each token of a string stands for, to be shown; leading spaces are left out."""
        return [text[start:end] for start, end in self.encode(text).spans]

    def save(self, path: str | Path) -> None:
        """Write tokenizer.json."""
        files.write_text(Path(path), self._library.to_str(pretty=True) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read a tokenizer.json, or the one in a folder; a file that is missing, broken or unsafe raises DataError."""
        path = Path(path)
        file = path / "tokenizer.json" if path.is_dir() else path
        if not file.is_file():
            raise DataError(f"No tokenizer at {path}: looked for {file}.")
        complaint = f"{file} is no tokenizer that can be used"
        with guarded(complaint):
            data = json.loads(file.read_bytes())
            if fault := _fault(data):
                raise DataError(f"{complaint}: {fault}")
            tokenizer = cls(Library.from_str(json.dumps(data)))
            tokenizer.encode("a \u0001☃")  # a vocabulary without the unknown token shows only now
        return tokenizer

    def __reduce__(self) -> tuple:  # the library forgets `encode_special_tokens` when it travels to another process
        return Tokenizer, (self._library,)


def train_tokenizer(kind: Kind, texts: Iterable[str], vocab_size: int = 8000) -> Tokenizer:
    """Learn a tokenizer of at most `vocab_size` tokens, four of them special; the same texts give the same file.

    kind: "words" (whole words, single digits and signs; the most frequent are kept), "chars" (every character), or
    "bpe" (byte-pair encoding of words over bytes, so that nothing is unknown; Sennrich et al. 2016,
    https://aclanthology.org/P16-1162/; see `text/bpe.py`).
    """
    if kind not in get_args(Kind):
        raise ConfigError(
            f'No tokenizer "{kind}": there are {", ".join(get_args(Kind))}.{nearest(kind, get_args(Kind))}'
        )
    least = 260 if kind == "bpe" else 5
    if vocab_size < least:
        raise ConfigError(f'vocab_size is {vocab_size}; a "{kind}" tokenizer needs at least {least}.')
    settings = {"vocab_size": vocab_size, "special_tokens": list(SPECIAL), "show_progress": False}
    if kind == "bpe":
        library = Library(models.BPE())
        trainer = trainers.BpeTrainer(**settings, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    else:
        library = Library(models.WordLevel(unk_token=SPECIAL[UNK]))
        trainer = trainers.WordLevelTrainer(**settings)
    _cut_losslessly(library, kind)
    library.train_from_iterator(checked_texts(texts), trainer)
    if library.get_vocab_size() == len(SPECIAL):
        raise DataError("There is no text to learn a tokenizer from: every string is empty.")
    return Tokenizer(library)


def _cut_losslessly(library: Library, kind: Kind) -> None:
    """Set how the library cuts a string and puts it together again."""
    if kind == "chars":
        library.pre_tokenizer = pre_tokenizers.Split(Regex(CHARACTER), "isolated")
        library.decoder = decoders.Fuse()
        return
    words = pre_tokenizers.Split(Regex(WORD), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    library.normalizer = normalizers.Prepend(" ")
    library.pre_tokenizer = pre_tokenizers.Sequence([words, to_bytes]) if kind == "bpe" else words
    together = decoders.ByteLevel() if kind == "bpe" else decoders.Fuse()
    library.decoder = decoders.Sequence([together, decoders.Strip(" ", 1, 0)])


def _begins_with_added_space(encoding: Encoding) -> bool:
    """Tell whether the first token is the space put before every string, and no more: it stands for no character.

    Either byte-pair encoding left that space alone, as "Ġ"; or a second word, a white space, starts at character 0.
    """
    return encoding.tokens[:1] == ["Ġ"] or (encoding.word_ids[:2] == [0, 1] and encoding.offsets[1][0] == 0)


def _fault(data: object) -> str:
    """Say why a tokenizer.json would not keep this module's promises; an empty string if it does."""
    if not isinstance(data, dict):
        return "it is JSON, but no object."
    for key in ("truncation", "padding"):
        if data.get(key) is not None:
            return f"its {key} is {json.dumps(data[key])[:120]}; it must be null, for text is never cut silently."
    tokens = {token.get("content"): token.get("id") for token in data.get("added_tokens", [])}
    for i, name in enumerate(SPECIAL):
        if tokens.get(name) != i:
            return f'its special token "{name}" must have id {i}, not {tokens.get(name)}.'
    vocabulary = data["model"]["vocab"] | tokens
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        return f"the ids of its {len(vocabulary):,} tokens do not run from 0 without gap or repetition."
    return ""
