"""From a folder, a file or a name to a model: what the configuration says decides which."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from qkv.base.config import from_dict
from qkv.base.errors import ConfigError, DataError, WeightsError, brief
from qkv.inside.pruning import Removed, remove
from qkv.model.core import FORMAT_VERSION, WEIGHTS, Header, Model, digest
from qkv.model.reader import Reader
from qkv.model.translator import SOURCE, TARGET, TOKENIZER, Translator
from qkv.model.viewer import Viewer, read_preprocessing
from qkv.model.writer import Writer
from qkv.models import FAMILIES, get_family
from qkv.models.empty import build_empty, check_memory
from qkv.models.family import Decoder, Encoder, EncoderDecoder, Family, Format, PictureNet
from qkv.nn.embed import fill_buffers
from qkv.text.public import TextTokenizer
from qkv.text.sentencepiece import load_marian
from qkv.text.tokenizer import Tokenizer
from qkv.weights.configs import read_labels
from qkv.weights.files import read_safetensors
from qkv.weights.hub import find_model
from qkv.weights.rules import read_state, same


def load(name: Path | str) -> Model:
    """Load a model from a folder, from the weight file in one, or from the hub: what is cached, else downloaded.

    The folder is one that qkv wrote, or one in a public format of a family. Raises ConfigError, WeightsError or
    DataError that say which file is wrong and how.
    """
    folder, weights = find_model(str(name), sizes=[size for family in FAMILIES for size in get_family(family).sizes])
    config = _read_config(folder)
    if config.get("format") == "qkv":
        return _load_own(folder, config)
    family, public = _find_format(folder, config)
    tensors = read_safetensors(weights)
    cfg = public.fit(public.read_config(config), tensors.keys())
    net = _fill(family, cfg, public, tensors, folder)
    return _wrap(net, folder, config, _read_card(config))


def _read_card(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names of labels, as transformers or timm has them, if a public configuration gives any."""
    if config.get("id2label"):
        return {"labels": read_labels(config)}
    names, n = config.get("label_names"), config.get("num_classes")
    if names is None:
        return {}
    if not isinstance(names, list) or len(names) != n or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'config.json: "label_names" is {brief(names)}, wanted a name for each of {brief(n)} labels.')
    return {"labels": names}


def _find_format(folder: Path, config: Mapping[str, Any]) -> tuple[Family, Format]:
    names = []
    for family in map(get_family, FAMILIES):
        for public in family.formats.values():
            if config.get(public.key) in public.names:
                return family, public
            names += public.names if public.key == "model_type" else []
    raise ConfigError(
        f'{folder / "config.json"}: model_type "{str(config.get("model_type"))[:80]}" is none that qkv reads: '
        f"{', '.join(names)}."
    )


def _wrap(net: Any, folder: Path, config: dict[str, Any], card: dict[str, Any]) -> Model:
    """Give a net what makes its input."""
    if isinstance(net, PictureNet):
        return Viewer(net, read_preprocessing(folder, config), card=card)
    if isinstance(net, Encoder):
        return _matched_text(Reader(net, TextTokenizer.load(folder), card=card), folder)
    if isinstance(net, Decoder):
        return _matched_text(Writer(net, TextTokenizer.load(folder), card=card), folder)
    if config.get("format") == "qkv":
        names = (SOURCE, TARGET) if SOURCE in config["sha256"] else (TOKENIZER,)
        tokenizers = [Tokenizer.load(folder / name) for name in names]
        return _matched(Translator(net, tokenizers[0], tokenizers[-1], card=card), folder)
    return _matched(Translator(net, *load_marian(folder), card=card), folder)


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


def _load_own(folder: Path, config: dict[str, Any]) -> Model:
    where = str(folder / "config.json")
    if config.get("format_version") != FORMAT_VERSION:
        raise ConfigError(
            f"{where}: format_version {brief(config.get('format_version'))} is not the one this qkv reads "
            f"({FORMAT_VERSION})."
        )
    header = from_dict(Header, config, where)
    family = get_family(header.family)
    cfg, tensors = from_dict(family.config, header.config, where), read_safetensors(folder)
    net = _fill(family, cfg, None, tensors, folder, header.removed or ())
    model = _wrap(net, folder, config, header.card)
    for name in {WEIGHTS, *header.sha256}:
        if not _is_listed(folder, name, header.sha256):
            raise WeightsError(
                f"{folder / name} is not the file that config.json was written with (its SHA-256 differs): it is "
                "damaged, or of another model. Copy the whole folder again."
            )
    return model


def _is_listed(folder: Path, name: str, sums: Mapping[str, str]) -> bool:
    """Tell whether a file of this very folder is the one that its header names."""
    path = folder / name
    return Path(name).name == name and path.is_file() and sums.get(name) == digest(path)


def _matched(model: Translator, folder: Path) -> Translator:
    """Return the model if no token of its tokenizers lies outside its tables."""
    cfg = model.net.cfg
    rows = {"source": cfg.vocab_size, "target": cfg.target_vocab_size or cfg.vocab_size}
    for side, codec in (("source", model.source), ("target", model.target)):
        _check_size(folder, f"{side} tokenizer", codec.vocab_size, rows[side])
    return model


def _matched_text(model: Any, folder: Path) -> Any:
    _check_size(folder, "tokenizer", model.tokenizer.vocab_size, model.net.cfg.vocab_size)
    return model


def _check_size(folder: Path, what: str, n_tokens: int, n_rows: int) -> None:
    if n_tokens > n_rows:
        raise DataError(
            f"{folder}: the {what} has {n_tokens:,} tokens, the net {n_rows:,}. Is the tokenizer of another model?"
        )


def _fill(
    family: Family,
    cfg: Any,
    public: Format | None,
    theirs: Mapping[str, torch.Tensor],
    folder: Path,
    removed: Sequence[Removed] = (),
) -> EncoderDecoder | Encoder | Decoder | PictureNet:
    """Build the net without memory, then give it the tensors of a file: a public format's, or our own."""
    net, where = build_empty(family, cfg), str(folder)
    check_memory(net, min((x.element_size() for x in theirs.values()), default=4), str(folder / "config.json"))
    remove(net, removed)
    like = net.state_dict()
    if public is None:
        state = read_state([same(name, name) for name in like], theirs, like, where=where, kind=family.name)
    else:
        aliases = public.aliases(cfg)
        state = read_state(public.rules(cfg), theirs, like, aliases=aliases, where=where, kind=family.name)
    net.load_state_dict(state, assign=True)
    fill_buffers(net)
    return net.eval()
