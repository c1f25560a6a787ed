"""The tokenizers of OPUS-MT: SentencePiece models for cutting, vocabularies of their own for numbering.

A folder holds source.spm, target.spm and vocab.json (for both sides; target_vocab.json beside it where the sides have
their own), as transformers 5.23 reads them in `MarianTokenizer`, whose ids and strings these equal. Text goes to
SentencePiece as it is: the punctuation normaliser (sacremoses) that MarianTokenizer mentions is never applied there to
what is encoded, installed or not. Two things are different on purpose: a special token spelled out in a text is text,
and a language that a multilingual model does not know raises.

SentencePiece: Kudo and Richardson 2018, https://aclanthology.org/D18-2012/. It comes with `qkv[sentencepiece]`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from qkv.base import files
from qkv.base.errors import DataError, UnsupportedError, nearest
from qkv.text.checks import checked_ids, read_json
from qkv.text.tokenizer import Encoded

LANGUAGE = re.compile(r">>[^<>\s]+<<")
NEEDED = ("source.spm", "target.spm", "vocab.json")
KEPT = ("target_vocab.json", "tokenizer_config.json", "special_tokens_map.json")
SPECIAL = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "<pad>"}
# What `tidy` takes back; the order matters.
CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class SentencePieceTokenizer:
    """One side of a translation model: strings to ids and back; `load_marian` makes it.

    Marian starts a translation from padding: `bos_id` is `pad_id`. A text for a multilingual model begins with its
    target language, ">>fra<< Good morning": one token.
    """

    def __init__(
        self,
        folder: Mapping[str, bytes],
        model: Any,
        vocabulary: Mapping[str, int],
        special: Mapping[str, str],
        *,
        decoder: Any = None,
        clean: bool = False,
    ) -> None:
        self.folder, self._model, self._decoder, self._clean = folder, model, decoder or model, clean
        self.unk_id, self.eos_id, self.pad_id = (vocabulary[special[key]] for key in SPECIAL)
        self.bos_id = self.pad_id
        self._pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        self._ids = {piece: i for piece, i in vocabulary.items() if piece not in special.values()}
        self._languages = [piece for piece in vocabulary if LANGUAGE.fullmatch(piece)]

    @property
    def vocab_size(self) -> int:
        """The number of tokens, the special ones included."""
        return len(self._pieces)

    def encode(self, text: str) -> Encoded:
        """Return the tokens of a string, without the end token; what the vocabulary lacks becomes `unk_id`.

        Raises DataError for a target language that is none of the model's, or for half a character.
        """
        code = self._language(text)
        try:
            cut = self._model.EncodeAsOffsetMapping(text[len(code) :])
        except RuntimeError as error:
            raise DataError(f"{text[:40]!r} holds half a character (a lone surrogate): no text.") from error
        ids = [self._ids.get(piece, self.unk_id) for piece in cut["pieces"]]
        spans = [_trim(text, start + len(code), end + len(code)) for start, end in cut["offsets"]]
        return Encoded([self._ids[code], *ids], [(0, len(code)), *spans]) if code else Encoded(ids, spans)

    def decode(self, ids: Iterable[int]) -> str:
        """Return the string of token ids; padding, end and unknown tokens leave nothing.

        Raises ShapeError for an id outside the vocabulary.
        """
        ids = checked_ids(ids, self.vocab_size)
        pieces = [self._pieces[i] for i in ids if i not in (self.pad_id, self.eos_id, self.unk_id)]
        text = self._decoder.DecodePieces(pieces).replace("▁", " ").strip()
        return tidy(text) if self._clean else text

    def pieces(self, text: str) -> list[str]:
        """Return the characters each token of a string stands for, to be shown; leading spaces are left out."""
        return [text[start:end] for start, end in self.encode(text).spans]

    def _language(self, text: str) -> str:
        """Return the target language a text begins with, as it is written: ">>fra<<", or nothing."""
        code = text[: text.find("<<") + 2] if text.startswith(">>") and "<<" in text else ""
        if code in self._ids:
            return code
        if self._languages and LANGUAGE.fullmatch(code):
            raise DataError(
                f"This model does not translate into {code}; it knows {len(self._languages)} languages: "
                f"{', '.join(self._languages[:8])}{' ...' if len(self._languages) > 8 else ''}."
                f"{nearest(code, self._languages)}"
            )
        return ""


def load_marian(folder: str | Path) -> tuple[SentencePieceTokenizer, SentencePieceTokenizer]:
    """Return the source's and the target's tokenizer of a folder in OPUS-MT's layout.

    Raises DataError that names the file that is missing or broken, UnsupportedError without `qkv[sentencepiece]`.
    """
    folder = Path(folder)
    absent = [name for name in NEEDED if not (folder / name).is_file()]
    if absent:
        raise DataError(f"No Marian tokenizer in {folder}: {', '.join(absent)} missing (it needs {', '.join(NEEDED)}).")
    content = {name: (folder / name).read_bytes() for name in (*NEEDED, *KEPT) if (folder / name).is_file()}
    settings = _settings(folder, content)
    special = {key: _plain(settings.get(key, default)) for key, default in SPECIAL.items()}
    separate = bool(settings.get("separate_vocabs"))
    if separate and "target_vocab.json" not in content:
        raise DataError(f"{folder} says separate_vocabs in tokenizer_config.json, but has no target_vocab.json.")
    clean = bool(settings.get("clean_up_tokenization_spaces"))
    models = [_model(folder / name, content[name]) for name in ("source.spm", "target.spm")]
    names = ("vocab.json", "target_vocab.json" if separate else "vocab.json")
    sides = []
    for model, name in zip(models, names, strict=True):
        vocabulary = _vocabulary(folder / name, content[name], special.values())
        known = sum(model.IdToPiece(i) in vocabulary for i in range(model.GetPieceSize()))
        if known * 10 < model.GetPieceSize():
            raise DataError(
                f"{folder / name} has {known} of the {model.GetPieceSize()} pieces of its SentencePiece model: "
                "they belong to different models."
            )
        # With one vocabulary, MarianTokenizer puts strings together with the source's model on both sides.
        decoder = model if separate else models[0]
        sides.append(SentencePieceTokenizer(content, model, vocabulary, special, decoder=decoder, clean=clean))
    return sides[0], sides[1]


def save_marian(folder: str | Path, source: object, target: object) -> None:
    """Write the tokenizers' files into a folder, byte for byte as they were read.

    Raises UnsupportedError for tokenizers that did not come from such a folder, or not from the same one.
    """
    if not isinstance(source, SentencePieceTokenizer) or not isinstance(target, SentencePieceTokenizer):
        kinds = {type(side).__name__ for side in (source, target)}
        raise UnsupportedError(
            f"Marian's files hold SentencePiece models; this model has {' and '.join(sorted(kinds))}, "
            "which cannot be written as one. Save it in qkv's own format."
        )
    if source.folder != target.folder:
        raise UnsupportedError("The source's and the target's tokenizer come from two folders; Marian's share one.")
    for name, data in source.folder.items():
        files.write_bytes(Path(folder) / name, data)


def tidy(text: str) -> str:
    """Take back the spaces before signs, as transformers does where "clean_up_tokenization_spaces" asks for it."""
    for spaced in CLEANED:
        text = text.replace(spaced, spaced.strip())
    return text


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave a token's leading space out of its span, unless it has nothing else."""
    return end - len(text[start:end].lstrip()) if text[start:end].strip() else start, end


def _plain(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)


def _settings(folder: Path, content: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the tokenizer's settings; what would change its ids in a way unknown here raises."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        settings |= read_json(folder / name, content.get(name, b"{}"))
    added = [_plain(token) for token in (settings.get("added_tokens_decoder") or {}).values()]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        added += [_plain(token) for token in settings.get(key) or ()]
    extra = sorted(set(added) - {_plain(settings.get(key, default)) for key, default in SPECIAL.items()})
    if extra:
        raise DataError(f"{folder / 'tokenizer_config.json'} adds tokens that no Marian vocabulary has: {extra[:5]}.")
    if settings.get("sp_model_kwargs"):
        raise DataError(
            f"{folder / 'tokenizer_config.json'}: sp_model_kwargs is {settings['sp_model_kwargs']!r}; "
            "it must be empty, for text is never cut at random."
        )
    return settings


def _vocabulary(path: Path, data: bytes, special: Iterable[str]) -> dict[str, int]:
    vocabulary = read_json(path, data)
    if sorted(i for i in vocabulary.values() if type(i) is int) != list(range(len(vocabulary))):
        raise DataError(f"{path}: its ids must be the numbers from 0 to {len(vocabulary) - 1}, each once.")
    absent = [token for token in special if token not in vocabulary]
    if absent:
        raise DataError(f"{path} lacks the special tokens {', '.join(absent)}.")
    return vocabulary


def _model(path: Path, data: bytes) -> Any:
    """Return the SentencePiece model of a file."""
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise UnsupportedError(
            'Marian\'s tokenizer files need the sentencepiece package: pip install "qkv[sentencepiece]".'
        ) from error
    model = SentencePieceProcessor()
    try:
        model.LoadFromSerializedProto(data)
    except RuntimeError as error:
        raise DataError(
            f"{path} is no SentencePiece model ({len(data):,} bytes): {error}. Download it again."
        ) from error
    return model
