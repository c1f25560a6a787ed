"""A model as people use it: a net, what makes its input, and a card; written into folders."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from qkv.base import files
from qkv.base.config import to_dict
from qkv.base.errors import ConfigError, UnsupportedError, nearest
from qkv.generation.outputs import check_eval
from qkv.inside.look import find_look, unwatched
from qkv.inside.pruning import Removed, full_state, removed_from
from qkv.inside.shown import Entered, Shown
from qkv.model.about import describe, spell
from qkv.models import family_of
from qkv.models.family import Family
from qkv.nn.packed import pack
from qkv.weights.configs import write_labels
from qkv.weights.files import write_safetensors
from qkv.weights.rules import write_state

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
ABILITIES = ("translate", "generate", "fill", "embed", "predict")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What our config.json says: the net's settings, facts that travel with it, and the hashes of the files beside.

    removed: the heads that the net has lost, as `inside.pruning` tells them.
    """

    format: Literal["qkv"] = "qkv"
    format_version: int = FORMAT_VERSION
    family: str
    config: dict
    card: dict
    sha256: dict
    removed: tuple[Removed, ...] | None = None


@dataclasses.dataclass
class Model:
    """What `qkv.load` returns. `net` is the torch module; `card` holds facts that travel with the weights."""

    net: Any
    card: dict[str, Any] = dataclasses.field(default_factory=dict, kw_only=True)

    def __getattr__(self, name: str) -> Any:
        """Say what this model can do, where it is asked for what only other models can."""
        if name in ABILITIES:
            able = [ability for ability in ABILITIES if hasattr(type(self), ability)]
            raise UnsupportedError(f"A {self.family.name} model cannot {name}; it can {', '.join(able)}.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def family(self) -> Family:
        """Return the family of the net."""
        return family_of(self.net)

    @property
    def labels(self) -> list[str]:
        """Return the names of the labels that a model with a label head tells apart."""
        return self.card.get("labels") or [f"LABEL_{i}" for i in range(self.net.cfg.n_labels)]

    def __call__(
        self, given: Any, target: str | None = None, *, n_tokens: int | None = 0, beams: int = 4
    ) -> Float[Tensor, "..."]:
        """Run the net once over one input, and return what it says: logits, or states where it has no head.

        given: a text, a pair of texts or a picture, as the model reads it. Inside `look` this is the pass that is seen,
        and `show` then knows its tokens. target: of a translator; unless given, the best that is found. n_tokens: so
        many a decoder writes first, and then reads with the rest; None for a number that suits a page.
        """
        check_eval(self.net)
        if target is not None and not hasattr(type(self), "translate"):
            raise ConfigError(f"A {self.family.name} model takes no target; only translators do.")
        with unwatched(self.net):
            shown = self.show_input(given, target=target, n_tokens=n_tokens, beams=beams)
        with torch.inference_mode():
            said = shown.run()
        if (seen := find_look(self.net)) is not None:
            seen.entered.append(Entered(shown, said, describe(self), spell(given, target)))
        return said

    def show_input(self, given: Any, **options: Any) -> Shown:
        """Lay out one input, and a pass over it, as a page shows them: each kind of model reads its own."""
        raise UnsupportedError(f"{type(self).__name__} is no kind of model whose attention can be shown.")

    def packed(self, dtype: Literal["fp32", "bf16"]) -> "Model":
        """Return a copy for inference alone, faster on a CPU; "bf16" also halves its bytes and keeps three digits."""
        return dataclasses.replace(self, net=pack(self.net, torch.bfloat16 if dtype == "bf16" else torch.float32))

    def save(self, folder: Path | str, *, format: str = "qkv") -> None:
        """Write the model's files into a folder: ours ("qkv"), or a public format of its family ("hf", "timm").

        config.json comes last, with the hashes of the others: a folder that was not written to its end does not load.
        """
        folder = Path(folder)
        formats = ("qkv", *self.family.formats)
        if format not in formats:
            raise UnsupportedError(
                f'{self.family.name} has no public format "{format}": save it with format="{formats[-1]}".'
                f"{nearest(format, formats)}"
            )
        files.make_folder(folder)
        if format == "qkv":
            self._save_own(folder)
        else:
            self._save_public(folder, format)

    def _save_own(self, folder: Path) -> None:
        names = [WEIGHTS, *self._save_codec(folder)]
        write_safetensors(folder / WEIGHTS, self.net.state_dict())
        header = Header(
            family=self.family.name,
            config=to_dict(self.net.cfg),
            card=self.card,
            sha256={name: digest(folder / name) for name in names},
            removed=removed_from(self.net) or None,
        )
        files.write_json(folder / "config.json", to_dict(header))

    def _save_public(self, folder: Path, format: str) -> None:
        public, cfg = self.family.formats[format], self.net.cfg
        config = public.write_config(cfg)
        labels = self.card.get("labels", [])
        if "id2label" in config and labels:
            config |= write_labels(labels)
        elif labels and config.get("num_classes") == len(labels):  # timm's
            config["label_names"] = labels
        tensors = write_state(public.rules(cfg), full_state(self.net), where=str(folder))
        config |= self._save_public_codec(folder, format)
        write_safetensors(folder / WEIGHTS, tensors)
        if public.write_generation:
            files.write_json(folder / "generation_config.json", public.write_generation(cfg))
        files.write_json(folder / "config.json", config)

    def _save_codec(self, folder: Path) -> Sequence[str]:
        """Write what makes the net's input; return the names of the files."""
        return []

    def _save_public_codec(self, folder: Path, format: str) -> dict[str, Any]:
        """Write what makes the net's input as a public format has it; return what config.json says of it."""
        self._save_codec(folder)
        return {}


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
