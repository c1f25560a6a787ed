"""What lies between two models: settings, parts and shapes, attention maps."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from qkv.base.config import to_dict
from qkv.base.errors import ConfigError, nearest
from qkv.models import FAMILIES, get_family
from qkv.models.empty import build_empty
from qkv.models.family import Family, MapSpec

MISSING = "-"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two models have otherwise; what one of them lacks is "-"."""

    what: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Diff:
    """Two models side by side: names, what their nets are, and what differs."""

    a: str
    b: str
    about: tuple[str, str]
    settings: list[Difference]
    parameters: list[Difference]
    maps: list[Difference]


def diff(a: str, b: str) -> Diff:
    """Compare two sizes, such as "bert-base-cased" and "roberta-base"; a family or a beginning names its first size."""
    (name_a, family_a, cfg_a), (name_b, family_b, cfg_b) = find_size(a), find_size(b)
    return Diff(
        name_a,
        name_b,
        (_about(family_a), _about(family_b)),
        _compare({"family": family_a.name, **to_dict(cfg_a)}, {"family": family_b.name, **to_dict(cfg_b)}),
        _compare(_shapes(family_a, cfg_a), _shapes(family_b, cfg_b)),
        _compare(_maps(family_a.maps(cfg_a)), _maps(family_b.maps(cfg_b))),
    )


def find_size(name: str) -> tuple[str, Family, Any]:
    """Return a size by its name, by the name of its family, or the first that begins with the name."""
    families = [get_family(one) for one in FAMILIES]
    sizes = {size: family for family in families for size in family.sizes}
    firsts = {family.name: next(iter(family.sizes)) for family in families}
    found = name if name in sizes else firsts.get(name) or next((s for s in sizes if s.startswith(name)), None)
    if found is None:
        raise ConfigError(f'No model "{name}": see qkv models.{nearest(name, [*sizes, *firsts])}')
    return found, sizes[found], sizes[found].sizes[found]


def _about(family: Family) -> str:
    return (family.net.__doc__ or "").strip().splitlines()[0]


def _compare(a: dict[str, Any], b: dict[str, Any]) -> list[Difference]:
    rows = [Difference(key, str(a.get(key, MISSING)), str(b.get(key, MISSING))) for key in {**a, **b}]
    return [row for row in rows if row.a != row.b]


def _shapes(family: Family, cfg: Any) -> dict[str, str]:
    """Return the shapes of all parameters; layers of one shape are told once, with their number."""
    net = build_empty(family, cfg)
    layers: dict[tuple[str, str], int] = {}
    for name, p in net.named_parameters():
        key = re.sub(r"\.\d+\.", ".*.", name), " x ".join(map(str, p.shape))
        layers[key] = layers.get(key, 0) + 1
    found: dict[str, str] = {}
    for (name, shape), n in layers.items():
        told = f"{n} of {shape}" if "*" in name else shape
        found[name] = f"{found[name]}, {told}" if name in found else told
    return found


def _maps(specs: Iterable[MapSpec]) -> dict[str, str]:
    """Return, for each kind of map, how many there are and what is special about them."""
    told: dict[str, dict[str, int]] = {}
    for spec in specs:
        words = [f"{spec.heads} heads"]
        words += [f"{spec.kv_heads} of keys"] if spec.kv_heads and spec.kv_heads != spec.heads else []
        words += [f"windows of {spec.window}"] if spec.window else []
        words += ["a row per step"] if spec.steps else []
        kinds = told.setdefault(f"{spec.query_stream} looks at {spec.key_stream}", {})
        kinds[", ".join(words)] = kinds.get(", ".join(words), 0) + 1
    return {key: "; ".join(f"{n} x {words}" for words, n in kinds.items()) for key, kinds in told.items()}
