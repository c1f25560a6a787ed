"""Where a model lies: a folder, a weight file, or a name on the hub (https://huggingface.co), cache first."""

import re
from collections.abc import Collection
from pathlib import Path

from huggingface_hub import scan_cache_dir, snapshot_download
from huggingface_hub.errors import (
    CacheNotFound,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from qkv.base.errors import ConfigError, WeightsError, nearest
from qkv.weights.files import INDEX, PICKLES, WEIGHTS

NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.spm"]


def find_model(name: str, *, sizes: Collection[str] = ()) -> tuple[Path, Path]:
    """Return the folder of a model, and the folder or file that its weights are read from.

    A name is looked up in the hub's cache, then on the hub, whose files are downloaded into the cache; pickles never.
    sizes: names that qkv knows, for a hint. Raises ConfigError that says what was looked for.
    """
    path = Path(name)
    if path.is_dir():
        return path, path
    if path.is_file():
        if path.suffix not in (*PICKLES, ".safetensors", ".json"):
            raise WeightsError(f"{path} is no weight file that qkv reads: give a .safetensors file, or its folder.")
        return path.parent, path
    if not NAME.fullmatch(name):
        raise ConfigError(f"There is no {name}. Give a folder with a config.json, a .safetensors file, or a hub name.")
    folder = _cached(name) or _download(name, sizes)
    return folder, folder


def _cached(name: str) -> Path | None:
    try:
        folder = Path(snapshot_download(name, allow_patterns=WANTED, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    whole = (folder / "config.json").is_file() and ((folder / WEIGHTS).is_file() or (folder / INDEX).is_file())
    return folder if whole else None


def _download(name: str, sizes: Collection[str]) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=["*/*"]))
    except GatedRepoError as error:
        raise ConfigError(
            f'"{name}" is on the hub, but gated: ask for access on its page, then log in with: hf auth login'
        ) from error
    except RepositoryNotFoundError as error:
        raise ConfigError(f'No model "{name}": neither a folder here nor on the hub.{_hint(name, sizes)}') from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ConfigError(
            f'No model "{name}": no such folder, not in the hub\'s cache, and the hub is out of reach.'
            f"{_hint(name, sizes)}"
        ) from error


def _hint(name: str, sizes: Collection[str]) -> str:
    """Name what is near, or say that a size is a plan and no model."""
    if name in sizes:
        return f" It is a size: make one of your own with qkv train or qkv pretrain {name}."
    return nearest(name, [*sizes, *_in_cache()])


def _in_cache() -> list[str]:
    try:
        return [repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model"]
    except CacheNotFound:
        return []
