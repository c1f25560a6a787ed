"""Write a model in another format."""

from pathlib import Path

from qkv.base.errors import ConfigError
from qkv.model import Model, load


def convert(model: Model | Path | str, *, to: str, out: Path | str) -> Path:
    """Write a model's files into a new folder: as transformers ("hf") or timm has them, or as qkv does; return it.

    Raises UnsupportedError if the format cannot express the net.
    """
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not empty: remove it, or name another --out.")
    (model if isinstance(model, Model) else load(model)).save(folder, format=to)
    return folder
