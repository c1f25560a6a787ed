"""What models there are, and what one of them is."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qkv.base.config import to_dict
from qkv.model import load
from qkv.models import FAMILIES, get_family, get_size
from qkv.models.empty import build_empty
from qkv.models.family import Family, MapSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class Info:
    """One model: its family, settings, parameters in all and per part, attention maps of one pass."""

    name: str
    family: str
    about: str
    config: dict[str, Any]
    parameters: int
    parts: dict[str, int]
    maps: tuple[MapSpec, ...]
    card: dict[str, Any]


def list_models() -> list[Info]:
    """Return every size of every family; nets are counted without memory."""
    return [_describe(size, family, cfg) for family in map(get_family, FAMILIES) for size, cfg in family.sizes.items()]


def info(model: str) -> Info:
    """Return what a size (such as "transformer-base") or a folder with a model is."""
    if not Path(model).is_dir():
        family, cfg = get_size(model)
        return _describe(model, family, cfg)
    loaded = load(model)
    return _describe(model, loaded.family, loaded.net.cfg, loaded.card)


def _describe(name: str, family: Family, cfg: Any, card: dict[str, Any] | None = None) -> Info:
    net = build_empty(family, cfg)
    parts: Counter[str] = Counter()
    for parameter, p in net.named_parameters():
        parts[parameter.partition(".")[0]] += p.numel()
    return Info(
        name=name,
        family=family.name,
        about=(family.net.__doc__ or "").strip().splitlines()[0],
        config=to_dict(cfg),
        parameters=sum(p.numel() for p in net.parameters()),
        parts=dict(parts),
        maps=family.maps(cfg),
        card=card or {},
    )
