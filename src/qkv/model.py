"""A model as people use it: a net with its tokenizers and its card; text in, text out, folders both ways."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from qkv.base import files
from qkv.base.config import from_dict, to_dict
from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.evaluation.translation import Translated, translate_texts
from qkv.models import FAMILIES, family_of, get_family
from qkv.models.family import EncoderDecoder, Family, Format
from qkv.nn.embed import fill_buffers
from qkv.tasks.translation import Codec, Translation
from qkv.text.sentencepiece import load_marian, save_marian
from qkv.text.tokenizer import Tokenizer
from qkv.weights.files import read_safetensors, write_safetensors
from qkv.weights.rules import read_state, same, write_state

FORMAT_VERSION = 1


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

    def save(self, folder: Path | str, *, format: Literal["qkv", "hf"] = "qkv") -> None:
        """Write the model's files into a folder: ours, or the public format of the family where it has one."""
        folder = Path(folder)
        files.make_folder(folder)
        state = self.net.state_dict()
        if format == "qkv":
            header = {"format": "qkv", "format_version": FORMAT_VERSION, "family": self.family.name}
            files.write_json(folder / "config.json", {**header, "config": to_dict(self.net.cfg), "card": self.card})
            write_safetensors(folder / "model.safetensors", state)
            self._save_tokenizers(folder)
            return
        if "hf" not in self.family.formats:
            raise UnsupportedError(f'{self.family.name} has no public format "hf": save it with format="qkv".')
        public = self.family.formats["hf"]
        files.write_json(folder / "config.json", public.write_config(self.net.cfg))
        tensors = write_state(public.rules(self.net.cfg), state, where=str(folder))
        write_safetensors(folder / "model.safetensors", tensors)
        save_marian(folder, self.source, self.target)

    def _save_tokenizers(self, folder: Path) -> None:
        if not isinstance(self.source, Tokenizer) or not isinstance(self.target, Tokenizer):
            raise UnsupportedError('SentencePiece tokenizers are saved with format="hf" only.')
        if self.source is self.target:
            self.source.save(folder / "tokenizer.json")
        else:
            self.source.save(folder / "source.json")
            self.target.save(folder / "target.json")


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
                return Model(net, *load_marian(folder))
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
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}.") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds a {type(config).__name__}, wanted an object with settings.")
    return config


def _load_own(folder: Path, config: Mapping[str, Any]) -> Model:
    where = str(folder / "config.json")
    if config.get("format_version") != FORMAT_VERSION:
        raise ConfigError(
            f"{where}: format_version {config.get('format_version')} is not the one this qkv reads ({FORMAT_VERSION})."
        )
    family = get_family(config.get("family", ""))
    cfg = from_dict(family.config, config.get("config", {}), where)
    theirs = read_safetensors(folder)
    net = _fill(family, cfg, None, theirs, folder)
    if (folder / "tokenizer.json").is_file():
        both = Tokenizer.load(folder / "tokenizer.json")
        return Model(net, both, both, dict(config.get("card", {})))
    source, target = Tokenizer.load(folder / "source.json"), Tokenizer.load(folder / "target.json")
    return Model(net, source, target, dict(config.get("card", {})))


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
        state = read_state(public.rules(cfg), theirs, like, aliases=public.aliases, where=where, kind=kind)
    net.load_state_dict(state, assign=True)
    fill_buffers(net)
    return net.eval()
