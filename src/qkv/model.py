"""A model as people use it: a net with its tokenizers and its card; text in, text out, folders both ways."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from qkv.base import files
from qkv.base.config import from_dict, to_dict
from qkv.base.errors import ConfigError, DataError, UnsupportedError, WeightsError
from qkv.evaluation.translation import Translated, translate_texts
from qkv.models import FAMILIES, family_of, get_family
from qkv.models.family import EncoderDecoder, Family, Format
from qkv.nn.embed import fill_buffers
from qkv.nn.packed import pack
from qkv.tasks.codec import Codec
from qkv.tasks.translation import Translation
from qkv.text.sentencepiece import load_marian, save_marian
from qkv.text.tokenizer import Tokenizer
from qkv.weights.files import read_safetensors, write_safetensors
from qkv.weights.rules import read_state, same, write_state

FORMAT_VERSION = 1
WEIGHTS, TOKENIZER, SOURCE, TARGET = "model.safetensors", "tokenizer.json", "source.json", "target.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What our config.json says: the net's settings, facts that travel with it, and the hashes of the files beside."""

    format: Literal["qkv"] = "qkv"
    format_version: int = FORMAT_VERSION
    family: str
    config: dict
    card: dict
    sha256: dict


@dataclass(slots=True)
class Model:
    """What `qkv.load` returns. `net` is the torch module; `card` holds facts that travel with the weights."""

    net: EncoderDecoder
    source: Codec
    target: Codec
    card: dict[str, Any] = field(default_factory=dict)

    @property
    def family(self) -> Family:
        """Return the family of the net."""
        return family_of(self.net)

    @property
    def task(self) -> Translation:
        """Return the objective that speaks this model's tokens."""
        return Translation(self.source, self.target, self.net.cfg)

    def translate(
        self,
        texts: Sequence[str],
        *,
        beams: int = 4,
        length_penalty: float = 1.0,
        max_tokens: int | None = None,
        weights: bool = False,
    ) -> list[Translated]:
        """Return the translation of each text; with `weights`, also what the decoder looked at for each token."""
        if isinstance(texts, str):
            raise ConfigError("translate takes a list of texts; put this one text into a list.")
        for i, text in enumerate(texts):
            if not text.strip():
                raise DataError(f"Text {i + 1} of {len(texts)} is empty: give a sentence to translate.")
        return translate_texts(
            self.net,
            self.task,
            texts,
            beams=beams,
            length_penalty=length_penalty,
            max_tokens=max_tokens,
            weights=weights,
        )

    def packed(self, dtype: Literal["fp32", "bf16"]) -> "Model":
        """Return a copy for inference alone, faster on a CPU; "bf16" also halves its bytes and keeps three digits."""
        net: Any = pack(self.net, torch.bfloat16 if dtype == "bf16" else torch.float32)
        return Model(net, self.source, self.target, self.card)

    def save(self, folder: Path | str, *, format: Literal["qkv", "hf"] = "qkv") -> None:
        """Write the model's files into a folder: ours, or the public format of the family where it has one.

        config.json comes last, with the hashes of the others: a folder that was not written to its end does not load.
        """
        folder = Path(folder)
        files.make_folder(folder)
        state = self.net.state_dict()
        if format == "qkv":
            names = [WEIGHTS, *self._save_tokenizers(folder)]
            write_safetensors(folder / WEIGHTS, state)
            header = Header(
                family=self.family.name,
                config=to_dict(self.net.cfg),
                card=self.card,
                sha256={name: _digest(folder / name) for name in names},
            )
            files.write_json(folder / "config.json", to_dict(header))
            return
        if "hf" not in self.family.formats:
            raise UnsupportedError(f'{self.family.name} has no public format "hf": save it with format="qkv".')
        public, cfg = self.family.formats["hf"], self.net.cfg
        config, tensors = public.write_config(cfg), write_state(public.rules(cfg), state, where=str(folder))
        save_marian(folder, self.source, self.target)
        write_safetensors(folder / WEIGHTS, tensors)
        files.write_json(folder / "generation_config.json", public.write_generation(cfg))
        files.write_json(folder / "config.json", config)

    def _save_tokenizers(self, folder: Path) -> list[str]:
        if not isinstance(self.source, Tokenizer) or not isinstance(self.target, Tokenizer):
            raise UnsupportedError('SentencePiece tokenizers are saved with format="hf" only.')
        both = {TOKENIZER: self.source} if self.source is self.target else {SOURCE: self.source, TARGET: self.target}
        for name, tokenizer in both.items():
            tokenizer.save(folder / name)
        return list(both)


def load(folder: Path | str) -> Model:
    """Load a model from a folder: one that qkv wrote, or one in a family's public format.

    Raises ConfigError, WeightsError or DataError that say which file is wrong and how.
    """
    folder = Path(folder)
    config = _read_config(folder)
    if config.get("format") == "qkv":
        return _load_own(folder, config)
    for family in map(get_family, FAMILIES):
        for public in family.formats.values():
            if config.get("model_type") in public.names:
                cfg = public.read_config(config)
                theirs = read_safetensors(folder)
                net = _fill(family, cfg, public, theirs, folder)
                return _matched(Model(net, *load_marian(folder)), folder)
    known = [
        name for family in map(get_family, FAMILIES) for public in family.formats.values() for name in public.names
    ]
    raise ConfigError(
        f'{folder / "config.json"}: model_type "{config.get("model_type")}" is none that qkv reads: {", ".join(known)}.'
    )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ConfigError(
            f"No model in {folder}: looked for config.json. Train one with: qkv train MODEL DATA --out {folder}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds a {type(config).__name__}, wanted an object with settings.")
    return config


def _load_own(folder: Path, config: Mapping[str, Any]) -> Model:
    where = str(folder / "config.json")
    if config.get("format_version") != FORMAT_VERSION:
        raise ConfigError(
            f"{where}: format_version {config.get('format_version')} is not the one this qkv reads ({FORMAT_VERSION})."
        )
    header = from_dict(Header, config, where)
    family = get_family(header.family)
    net = _fill(family, from_dict(family.config, header.config, where), None, read_safetensors(folder), folder)
    names = (SOURCE, TARGET) if SOURCE in header.sha256 else (TOKENIZER,)
    tokenizers = [Tokenizer.load(folder / name) for name in names]
    for name in (WEIGHTS, *names):
        if header.sha256.get(name) != _digest(folder / name):
            raise WeightsError(
                f"{folder / name} is not the file that config.json was written with (its SHA-256 differs): it is "
                "damaged, or of another model. Copy the whole folder again."
            )
    return _matched(Model(net, tokenizers[0], tokenizers[-1], header.card), folder)


def _matched(model: Model, folder: Path) -> Model:
    """Return the model if no token of its tokenizers lies outside its tables."""
    cfg = model.net.cfg
    rows = {"source": cfg.vocab_size, "target": cfg.target_vocab_size or cfg.vocab_size}
    for side, codec in (("source", model.source), ("target", model.target)):
        if codec.vocab_size > rows[side]:
            raise DataError(
                f"{folder}: the {side} tokenizer has {codec.vocab_size:,} tokens, the net {rows[side]:,}. Is the "
                "tokenizer of another model?"
            )
    return model


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(
    family: Family, cfg: Any, public: Format | None, theirs: Mapping[str, torch.Tensor], folder: Path
) -> EncoderDecoder:
    """Build the net without memory, then give it the tensors of a file: a public format's, or our own."""
    with torch.device("meta"):
        net = family.net(cfg)
    like, where = net.state_dict(), str(folder)
    if public is None:
        state = read_state([same(name, name) for name in like], theirs, like, where=where, kind=family.name)
    else:
        kind = public.names[0]
        state = read_state(public.rules(cfg), theirs, like, aliases=public.aliases(cfg), where=where, kind=kind)
    net.load_state_dict(state, assign=True)
    fill_buffers(net)
    return net.eval()
