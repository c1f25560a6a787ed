"""A model that looks at pictures: it labels them, and turns them into vectors."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from qkv.base import files
from qkv.base.config import from_dict, to_dict
from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.generation.outputs import check_eval
from qkv.image.hf_files import FILE, read_hf, write_hf
from qkv.image.preprocessing import Preprocessing, Source, prepare, prepare_all
from qkv.image.timm_files import read_timm, write_timm
from qkv.inside.shown import Shown
from qkv.inside.streams import picture_stream
from qkv.model.core import Model
from qkv.model.labels import Label, rank_labels
from qkv.model.shown import say_labels, shorten

PREPROCESSING = "preprocessing.json"
BATCH = 16


@dataclass
class Viewer(Model):
    """A net of pictures with what scales, crops and normalises them."""

    preprocessing: Preprocessing

    def predict(self, pictures: Sequence[Source]) -> list[list[Label]]:
        """Return the labels of each picture, likeliest first. A picture is a file, a Pillow image or an array."""
        if not self.net.cfg.head:
            raise UnsupportedError(f"This {self.family.name} has no head for labels: fine-tune it with qkv finetune.")
        logits = torch.stack([*self._run(self.net, pictures)])
        return rank_labels(self.labels, logits.float().softmax(-1))

    def embed(self, pictures: Sequence[Source]) -> Float[Tensor, "b m"]:
        """Return one vector per picture."""
        return torch.stack([*self._run(lambda x: self.net.summary(self.net.encode(x)), pictures)]).float()

    def show_input(self, given: Any, **_: Any) -> Shown:
        """Lay out a picture as the net sees it: scaled and cropped, its colours as they were, cut into patches."""
        if isinstance(given, list | tuple):
            raise ConfigError("One picture is shown at a time; a list was given.")
        pixels, cfg = prepare(given, self.preprocessing), self.net.cfg
        pixels = F.pad(pixels, (0, -pixels.size(-1) % cfg.patch, 0, -pixels.size(-2) % cfg.patch))  # as Swin does
        n_class, n_registers = getattr(cfg, "n_class", 0), getattr(cfg, "n_registers", 0)
        prefix = [*("[CLS]", "[DIST]")[:n_class], *(f"register {i + 1}" for i in range(n_registers))]
        batch = pixels[None].to(next(self.net.parameters()).dtype)
        return Shown(
            title=shorten(Path(given).name) if isinstance(given, str | Path) else "A picture",
            streams=(picture_stream("picture", self._restore(pixels), cfg.patch, prefix),),
            run=lambda: self.net(batch),
            say=lambda logits: say_labels(self, logits),
        )

    def _restore(self, pixels: Float[Tensor, "c y x"]) -> Float[Tensor, "c y x"]:
        """Return the values of a prepared picture from 0 to 1."""
        mean, std = (torch.tensor(x)[:, None, None] for x in (self.preprocessing.mean, self.preprocessing.std))
        return ((pixels * std + mean) / (self.preprocessing.rescale * 255)).clamp(0, 1)

    def _run(self, act: Any, pictures: Sequence[Source]) -> Iterator[Tensor]:
        if isinstance(pictures, str | Path):
            raise ConfigError("predict and embed take a list of pictures; put this one into a list.")
        check_eval(self.net)
        if not len(pictures):
            raise DataError("There is no picture to look at: give one at least.")
        dtype = next(self.net.parameters(), torch.empty(0)).dtype
        with torch.inference_mode():
            for i in range(0, len(pictures), BATCH):
                yield from act(prepare_all(pictures[i : i + BATCH], self.preprocessing).to(dtype))

    def _save_codec(self, folder: Path) -> Sequence[str]:
        files.write_json(folder / PREPROCESSING, to_dict(self.preprocessing))
        return [PREPROCESSING]

    def _save_public_codec(self, folder: Path, format: str) -> dict[str, Any]:
        if format == "timm":
            return {"pretrained_cfg": write_timm(self.preprocessing)}
        files.write_json(folder / FILE, write_hf(self.preprocessing))
        return {}


def read_preprocessing(folder: Path, config: dict[str, Any]) -> Preprocessing:
    """Return what a folder says of its pictures: in a file of ours, of transformers', or in timm's config.json."""
    if "pretrained_cfg" in config:
        return read_timm(config["pretrained_cfg"], f"{folder / 'config.json'}: pretrained_cfg")
    for name, read in ((PREPROCESSING, lambda data, where: from_dict(Preprocessing, data, where)), (FILE, read_hf)):
        path = folder / name
        if path.is_file():
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{path} is not JSON: {error}.") from None
            return read(data, str(path))
    raise ConfigError(f"Nothing in {folder} says how its pictures are scaled: looked for {PREPROCESSING} and {FILE}.")
