"""Prove that a public model is here what it is in the reference: its tensors, its states, its tokenizer."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qkv.base import files, seeds
from qkv.base.config import to_dict
from qkv.base.errors import UnsupportedError
from qkv.model import Model, Reader, Viewer, Writer, load
from qkv.nn.block import Block
from qkv.verbs.references import Reference, open_reference, watch
from qkv.weights.files import read_safetensors
from qkv.weights.rules import write_state

ALLOWED = 1e-5  # of max(1, the largest number), in fp32
# Scripts, accents, digits, signs, white space, emoji, and what is no word at all.
TEXTS = (
    "The FBI is chasing a criminal on the run .",
    "L'été où naïveté coûtait 3,50 €",
    "Größe, Straße, ÄÖÜ!",
    "東京タワーは高い。 서울은 크다",
    "Привет, мир — как дела?",
    "مرحبا بالعالم שלום",
    "  two  spaces\tand a tab\nand a line ",
    "🙂👍🏽 e\u0301 ﬁne ½ x² H₂O",
    "def f(x): return x**2 # 0xFF",
    "",
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared, and how it came out.

    tensors: SHA-256 of each tensor of the file. differing: names of those that come back otherwise. layers: for the
    stream before the first layer and after each, the largest difference as a share of max(1, the largest number);
    outputs: of what the net says. texts: how many texts have equal ids; None for pictures.
    """

    model: str
    versions: dict[str, str]
    tensors: dict[str, str]
    differing: list[str]
    layers: list[float]
    outputs: float
    texts: tuple[int, int] | None

    @property
    def holds(self) -> bool:
        """Tell whether everything is equal, numbers up to 1e-5."""
        same_ids = self.texts is None or self.texts[0] == self.texts[1]
        return not self.differing and same_ids and max([*self.layers, self.outputs]) <= ALLOWED


@torch.inference_mode()
def verify(folder: Path | str, *, save: Path | str | None = None) -> Proof:
    """Compare a folder that transformers or timm wrote, as it is read here, with that library; save: a JSON file.

    Raises UnsupportedError where the library is not installed, or has no such model.
    """
    folder = Path(folder)
    model = load(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("format") == "qkv":
        raise UnsupportedError(f"{folder} is qkv's own: verify compares what transformers or timm wrote with them.")
    if not isinstance(model, Reader | Writer | Viewer):
        raise UnsupportedError(f"{folder}: verify compares encoders, decoders and picture nets, no translators.")
    reference = open_reference(folder, config)
    given, texts = _inputs(model, folder)
    layers, outputs = _compare(model, reference, given)
    tensors = read_safetensors(folder)
    again = write_state(model.family.formats[reference.format].rules(model.net.cfg), model.net.state_dict())
    hashes, mine = _hash(tensors), _hash(again)
    proof = Proof(
        model=str(folder),
        versions={name: version(name) for name in ("qkv", "torch", reference.library)},
        tensors=hashes,
        differing=sorted(name for name in mine if hashes.get(name) != mine[name]),
        layers=layers,
        outputs=outputs,
        texts=texts,
    )
    if save is not None:
        files.write_json(Path(save), {**to_dict(proof), "holds": proof.holds})
    return proof


def _inputs(model: Model, folder: Path) -> tuple[dict[str, Tensor], tuple[int, int] | None]:
    """Return what both nets read, under the reference's names, and how many texts have equal ids."""
    if isinstance(model, Viewer):
        cfg = model.net.cfg
        shape = (2, cfg.n_channels, *cfg.picture_size)
        return {"pixel_values": torch.randn(shape, generator=seeds.generator("verify"))}, None
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(folder)
    tokenizer = model.tokenizer  # type: ignore[attr-defined]
    rows = [tokenizer.encode(text).ids for text in TEXTS]
    equal = sum(mine == theirs(text)["input_ids"] for text, mine in zip(TEXTS, rows, strict=True))
    longest = min(model.net.cfg.max_len, max(map(len, rows)))
    row = next(row for row in rows if len(row) >= longest)[:longest]
    return {"input_ids": torch.tensor([row])}, (equal, len(TEXTS))


def _compare(model: Model, reference: Reference, given: Mapping[str, Tensor]) -> tuple[list[float], float]:
    """Return the largest differences of the states of every layer, and of what the nets say."""
    net: Any = model.net.float()
    blocks = [module for module in net.modules() if isinstance(module, Block)]
    seen, mine = watch(blocks, lambda: net(*given.values()))
    states, said = reference.run(given)
    norm = net.stack.norm if hasattr(net, "stack") else torch.nn.Identity()
    if not _near(seen[-1], states[-1]):
        seen[-1] = norm(seen[-1])  # the last state of transformers is behind the last norm
    return [_difference(a, b) for a, b in zip(seen, states, strict=True)], _difference(mine, said)


def _near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and _difference(a, b) <= ALLOWED


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / max(1.0, float(b.abs().max())))


def _hash(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the SHA-256 of the type, shape and bytes of each tensor."""
    return {name: _digest(x, [str(x.dtype), *map(str, x.shape)]) for name, x in sorted(tensors.items())}


def _digest(x: Tensor, words: Sequence[str]) -> str:
    digest = hashlib.sha256(" ".join(words).encode())
    digest.update(x.contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
    return digest.hexdigest()
