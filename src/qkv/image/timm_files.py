"""The preprocessing that timm keeps in `pretrained_cfg` of a config.json: read strictly, and written back."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from qkv.base.config import from_dict
from qkv.base.errors import ConfigError, UnsupportedError, nearest
from qkv.image.preprocessing import MOST_SIDE, Preprocessing

# What timm does where the file is silent.
_DEFAULTS = {
    "crop_mode": "center",
    "crop_pct": 0.875,
    "input_size": [3, 224, 224],
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
_MODES = {"center": "short side", "squash": "stretch"}
# fmt: off
_HARMLESS = {  # where weights are from, what the net is, and how else it may be tested
    "architecture", "classifier", "custom_load", "description", "file", "first_conv", "fixed_input_size",
    "hf_hub_filename", "hf_hub_id", "label_descriptions", "label_names", "label_offset", "license", "min_input_size",
    "notes", "num_classes", "origin_url", "paper_ids", "paper_name", "pool_size", "source", "tag", "test_crop_pct",
    "test_input_size", "test_pool_size", "url",
}
# fmt: on


def read_timm(config: Mapping[str, Any], where: str = "config.json: pretrained_cfg") -> Preprocessing:
    """Return the preprocessing of a `pretrained_cfg`, as `timm.data.create_transform` does it when evaluating.

    Raises ConfigError that lists every key that is unknown or asks for what is not done here.
    """
    says = _DEFAULTS | {key: value for key, value in config.items() if value is not None}
    if faults := list(_faults(config, says)):
        raise ConfigError(f"{where}: {'; '.join(faults)}.")
    channels, rows, columns = says["input_size"]
    mean, std = (list(says[key]) * (channels if len(says[key]) == 1 else 1) for key in ("mean", "std"))
    if {len(mean), len(std)} != {channels}:
        raise ConfigError(f"{where}: mean {mean} and std {std} are not of {channels} channels, as input_size says.")
    how = _MODES[says["crop_mode"]]
    size = tuple(math.floor(side / says["crop_pct"]) for side in (rows, columns))
    fields = {
        "size": size,
        "how": how,
        "crop_rounding": "even",
        "interpolation": says["interpolation"],
        "mean": mean,
        "std": std,
    }
    crop = None if how == "stretch" and size == (rows, columns) else (rows, columns)
    return from_dict(Preprocessing, fields | ({"crop": crop} if crop else {}), where)


def write_timm(cfg: Preprocessing) -> dict[str, Any]:
    """Return the keys of a `pretrained_cfg` that do the same in timm.

    UnsupportedError where it cannot: bytes that are not divided by 255, a picture that is not cut to one size, a cut
    of other proportions than the scaled picture, or half pixels that are rounded down (transformers).
    """
    out, kept = cfg.out, cfg.how == "short side"
    if out is None or not math.isclose(cfg.rescale, 1 / 255):
        raise UnsupportedError(
            "timm divides bytes by 255 and cuts every picture to one size; this preprocessing does not."
        )
    spare = [side - cut for side, cut in zip(cfg.size, out, strict=True)]
    if cfg.crop and cfg.crop_rounding == "down" and (kept or any(n % 4 == 3 for n in spare)):
        raise UnsupportedError(
            "timm cuts out the middle up to a pixel beside transformers' where the border is odd. Convert to qkv, "
            "which says either, or in Python: model.preprocessing = dataclasses.replace(model.preprocessing, "
            'crop_rounding="even"), then qkv.convert(model, to="timm", out=...).'
        )
    return {
        "input_size": [cfg.n_channels, *out],
        "fixed_input_size": True,
        "interpolation": cfg.interpolation,
        "crop_pct": _share(cfg.size, out),
        "crop_mode": "center" if kept else "squash",
        "mean": list(cfg.mean),
        "std": list(cfg.std),
    }


def _share(size: tuple[int, int], crop: tuple[int, int]) -> float:
    """Return the shortest number that makes this size of this crop."""
    most = min(cut / side for cut, side in zip(crop, size, strict=True))
    for digits in range(17):
        share = math.floor(most * 10**digits) / 10**digits
        if share > 0 and all(math.floor(cut / share) == side for cut, side in zip(crop, size, strict=True)):
            return share
    raise UnsupportedError(f"timm knows one crop_pct for both sides; none makes {size} of {crop}.")


def _faults(config: Mapping[str, Any], says: Mapping[str, Any]) -> Iterator[str]:
    known = _DEFAULTS.keys() | _HARMLESS
    yield from (f'unknown key "{key}"{nearest(key, known)}' for key in config if key not in known)
    if says["crop_mode"] not in tuple(_MODES):
        yield f'"crop_mode" is {says["crop_mode"]!r}, not one of {", ".join(_MODES)}'
    match says["input_size"]:
        case [1 | 3, int(rows), int(columns)] if 1 <= rows <= MOST_SIDE and 1 <= columns <= MOST_SIDE:
            pass
        case other:
            yield f'"input_size" is {other!r}, wanted [1 or 3 channels, rows, columns]'
    share = says["crop_pct"]
    if not isinstance(share, int | float) or not 0.1 <= share <= 1:
        yield f'"crop_pct" is {share!r}, wanted a number from 0.1 to 1'
    yield from (
        f'"{key}" is {says[key]!r}, wanted a list' for key in ("mean", "std") if not isinstance(says[key], list | tuple)
    )
