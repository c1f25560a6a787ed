"""preprocessor_config.json of transformers: read strictly, of any age, and written back as 5.x writes it.

Read are the processors of ViT (DINO, Swin), DeiT and Bit (DINOv2), the "Fast" ones, and the feature extractors that
came before them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from qkv.base.config import from_dict
from qkv.base.errors import ConfigError, UnsupportedError, nearest
from qkv.image.preprocessing import FILTERS, Preprocessing

FILE = "preprocessor_config.json"
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
# What each class does where its file is silent.
_VIT = {
    "do_center_crop": False,
    "do_normalize": True,
    "do_rescale": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 1 / 255,
    "size": 224,
}
_DEIT = _VIT | {"resample": 3, "size": 256, "do_center_crop": True, "crop_size": 224}
_BIT = _DEIT | {"size": {"shortest_edge": 224}, "image_mean": CLIP_MEAN, "image_std": CLIP_STD}
_DEFAULTS = {
    name + ending: says
    for name, says in {"ViT": _VIT, "DeiT": _DEIT, "Bit": _BIT}.items()
    for ending in ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")
}
_FIXED = {"data_format": "channels_first", "do_pad": False, "do_resize": True}
# fmt: off
_HARMLESS = {  # how to run it, and what is done here whatever the file says
    "_processor_class", "_valid_processor_keys", "backend", "default_to_square", "device", "disable_grouping",
    "do_convert_rgb", "feature_extractor_type", "image_processor_type", "input_data_format", "pad_size",
    "processor_class", "return_tensors",
}
# fmt: on


def read_hf(config: Mapping[str, Any], where: str = FILE) -> Preprocessing:
    """Return what a preprocessor_config.json describes; where it is silent, what its class does.

    Raises ConfigError that lists every key that is unknown or asks for what is not done here.
    """
    given = {key: value for key, value in config.items() if value is not None}
    kind = given.get("image_processor_type") or given.get("feature_extractor_type") or "ViTImageProcessor"
    if kind not in tuple(_DEFAULTS):
        hint = nearest(str(kind), _DEFAULTS)
        raise ConfigError(f'{where}: "{kind}" is no image processor read here: {", ".join(_DEFAULTS)}.{hint}')
    if faults := list(_faults(config, given)):
        raise ConfigError(f"{where}: {'; '.join(faults)}.")
    says = _DEFAULTS[kind] | given
    n = len(says["image_mean"]) if isinstance(says["image_mean"], list | tuple) else 3
    how, size = _read_size(says["size"], edges=kind.startswith("Bit"))
    crop = _read_size(says.get("crop_size", {}))[1] if says["do_center_crop"] else None
    fields = {
        "size": size,
        "how": how,
        "crop": crop,
        "interpolation": next(
            (name for name, number in FILTERS.items() if number == says["resample"]), says["resample"]
        ),
        "rescale": says["rescale_factor"] if says["do_rescale"] else 1.0,
        "mean": _spread(says["image_mean"], n) if says["do_normalize"] else (0.0,) * n,
        "std": _spread(says["image_std"], n) if says["do_normalize"] else (1.0,) * n,
    }
    return from_dict(Preprocessing, {key: value for key, value in fields.items() if value is not None}, where)


def write_hf(cfg: Preprocessing) -> dict[str, Any]:
    """Return the preprocessor_config.json that does the same in transformers.

    UnsupportedError where it cannot: where half pixels are rounded to even (timm), or a picture covers a size that is
    no square.
    """
    kept = cfg.how == "short side"
    if kept and cfg.size[0] != cfg.size[1]:
        raise UnsupportedError(f"transformers cannot scale a picture to cover {cfg.size}: only squares.")
    spare = [side - cut for side, cut in zip(cfg.size, cfg.crop or cfg.size, strict=True)]
    if cfg.crop and cfg.crop_rounding == "even" and (kept or any(n % 4 == 3 for n in spare)):
        raise UnsupportedError(
            "transformers cuts out the middle up to a pixel beside timm's where the border is odd. Convert to qkv, "
            "which says either, or in Python: model.preprocessing = dataclasses.replace(model.preprocessing, "
            'crop_rounding="down"), then qkv.convert(model, to="hf", out=...).'
        )
    kind = "BitImageProcessor" if kept else "DeiTImageProcessor" if cfg.crop else "ViTImageProcessor"
    config: dict[str, Any] = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(cfg.mean),
        "image_processor_type": kind,
        "image_std": list(cfg.std),
        "resample": int(FILTERS[cfg.interpolation]),
        "rescale_factor": cfg.rescale,
        "size": {"shortest_edge": cfg.size[0]} if kept else _sides(cfg.size),
    }
    if kept:
        config |= {"do_center_crop": cfg.crop is not None, "do_convert_rgb": True}
    if cfg.crop:
        config |= {"do_center_crop": True, "crop_size": _sides(cfg.crop)}
    return dict(sorted(config.items()))


def _faults(config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    known = _BIT.keys() | _FIXED.keys() | _HARMLESS
    yield from (f'unknown key "{key}"{nearest(key, known)}' for key in config if key not in known)
    for key, value in _FIXED.items():
        if given.get(key, value) != value:
            yield f'"{key}" is {given[key]!r}, but {value!r} is all that is done here'
    for key in ("do_center_crop", "do_normalize", "do_rescale"):
        if not isinstance(given.get(key, True), bool):
            yield f'"{key}" is {given[key]!r}, wanted true or false'


def _read_size(size: Any, *, edges: bool = False) -> tuple[str, Any]:
    """Return how to scale, and rows and columns; what is no size comes back as it is, for the error."""
    match size:
        case {"height": rows, "width": columns, **rest} if not rest:
            return "stretch", (rows, columns)
        case {"shortest_edge": edge, **rest} if not rest:
            return "short side", (edge, edge)
        case int() if not isinstance(size, bool):
            return "short side" if edges else "stretch", (size, size)
    return "stretch", size


def _spread(numbers: Any, n: int) -> Any:
    return (numbers,) * n if isinstance(numbers, int | float) else numbers


def _sides(size: tuple[int, int]) -> dict[str, int]:
    return {"height": size[0], "width": size[1]}
