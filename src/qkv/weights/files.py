"""Weight files in the safetensors format (https://github.com/huggingface/safetensors), refused at the first doubt.

A file is eight bytes with the length of a header, the header in JSON (type, shape and place of each tensor), the bytes.
Pickles (`pytorch_model.bin`) can run code when they are opened, and are refused.
"""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import safetensors.torch as library
from safetensors import SafetensorError
from torch import Tensor

from qkv.base import files
from qkv.base.errors import WeightsError
from qkv.base.strays import find_stray

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
HEADER_LIMIT = 100_000_000  # bytes, as in the format's description
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """Return all tensors of a file, or of a folder: model.safetensors, or the shards its index names.

    Raises WeightsError that says what was looked for, or what is wrong with the file and what to do.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if path.suffix in PICKLES and path.exists():
        raise _is_pickle(path)
    if not path.is_file():
        raise WeightsError(f"There is no {path}. Give a .safetensors file, or a folder with {WEIGHTS} or {INDEX}.")
    return _read_shards(path) if path.suffix == ".json" else _read_file(path)


def write_safetensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to one file, byte for byte as transformers does; it appears whole or not at all.

    metadata: text kept in the header, {"format": "pt"} unless given. A tensor under two names is written twice.
    """
    own: dict[int, Tensor] = {}
    plain = {}
    for name, x in tensors.items():
        x = x.detach().contiguous()
        first = own.setdefault(x.untyped_storage().data_ptr(), x)
        plain[name] = x if first is x else x.clone()
    files.write_bytes(Path(path), library.save(plain, dict(metadata or {"format": "pt"})))


def _read_folder(folder: Path) -> dict[str, Tensor]:
    if (folder / WEIGHTS).is_file():
        return _read_file(folder / WEIGHTS)
    if (folder / INDEX).is_file():
        return _read_shards(folder / INDEX)
    pickles = sorted(path for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        raise _is_pickle(pickles[0])
    raise WeightsError(f"No weights in {folder}: looked for {WEIGHTS} and {INDEX}.")


def _read_shards(index: Path) -> dict[str, Tensor]:
    """Read the files that an index names, and check that each holds what the index says, no more."""
    try:
        places = json.loads(index.read_bytes())["weight_map"]
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f'{index} is no index of weight files: it has no "weight_map" of names to files.') from error
    for shard in shards:
        if (
            not isinstance(shard, str)
            or Path(shard).name != shard
            or "\\" in shard
            or not shard.endswith(".safetensors")
        ):
            raise WeightsError(f"{index} names {shard!r}; only .safetensors files of its own folder are read.")
    absent = [shard for shard in shards if not (index.parent / shard).is_file()]
    if absent:
        raise WeightsError(
            f"{index} names {len(shards)} files, of which {len(absent)} are missing: {', '.join(absent[:3])}. "
            "Download them again."
        )
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        part = _read_file(index.parent / shard)
        listed = {name for name, place in places.items() if place == shard}
        if wrong := sorted(listed ^ part.keys()):
            raise WeightsError(
                f"{index.parent / shard} and its index disagree on {len(wrong)} tensors: {', '.join(wrong[:3])}. "
                "They are of different models, or one is an old copy: download both again."
            )
        tensors |= part
    return tensors


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        _check(path)
        return library.load_file(path)
    except OSError as error:
        raise WeightsError(f"{path} could not be read: {error.strerror or error}.") from error
    except SafetensorError as error:
        raise WeightsError(f"{path} is damaged: {error}. Download or write it again.") from error


def _check(path: Path) -> None:
    """Refuse what is no safetensors file, from its first bytes and its header, before anything is allocated."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
        _check_kind(path, head, size)
        n = int.from_bytes(head[:8], "little")
        if n > HEADER_LIMIT:
            raise WeightsError(
                f"{path} is no safetensors file: its header would have {n:,} bytes, the format allows {HEADER_LIMIT:,}."
            )
        if size < 8 + n:
            raise _is_cut_short(path, f"header alone needs {8 + n:,} bytes", size)
        file.seek(8)
        header = _parse(path, file.read(n))
    needed = 8 + n + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    if size < needed:
        raise _is_cut_short(path, f"header needs {needed:,} bytes", size)
    if size > needed:
        raise WeightsError(f"{path} is damaged: {size - needed:,} bytes follow its last tensor. Download it again.")


def _check_kind(path: Path, head: bytes, size: int) -> None:
    """Recognise the things that usually lie in the place of weights."""
    if size == 0:
        raise WeightsError(f"{path} is empty (0 bytes): the download or the copy did not happen. Download it again.")
    stray = find_stray(head)
    if stray == "pointer":
        raise WeightsError(f"{path} is a Git LFS pointer ({size} bytes), not weights: run git lfs pull in its folder.")
    if stray == "page" or head.lstrip().startswith(b"<?xml"):
        raise WeightsError(f"{path} is an HTML page: the download was an error page. Download it again.")
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")) and head[8:9] != b"{":
        raise _is_pickle(path)
    if size < 8:
        raise _is_cut_short(path, "header alone needs more than 8 bytes", size)


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    """Return the header's entries, each with a type that qkv knows and a size that agrees with its shape."""
    try:
        header = json.loads(text)
        header.pop("__metadata__", None)
        for entry in header.values():
            start, end = entry["data_offsets"]
            whole = all(type(n) is int and n >= 0 for n in (*entry["shape"], start, end))
            unknown = entry["dtype"] not in SIZES
            if not whole or not (unknown or end - start == prod(entry["shape"]) * SIZES[entry["dtype"]]):
                raise WeightsError(f"{path} is damaged: places and shapes in its header disagree. Download it again.")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is no safetensors file: its header is damaged. Download it again.") from error
    for name, entry in header.items():
        if entry["dtype"] not in SIZES:
            raise WeightsError(
                f'{path}: "{name}" has type {entry["dtype"]}; qkv reads {", ".join(SIZES)}. '
                "Save the model in one of these (a quantised one: dequantise it first)."
            )
    return header


def _is_cut_short(path: Path, needs: str, size: int) -> WeightsError:
    return WeightsError(f"{path} is cut short: {needs}, file has {size:,}. Download or copy it again.")


def _is_pickle(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} is a pickle, which can run code when it is opened, and is not read. Open it in transformers, with the "
        'class that its config.json names under "architectures", and save_pretrained() it: that writes safetensors.'
    )
