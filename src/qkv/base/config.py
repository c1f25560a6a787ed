"""Configurations: frozen dataclasses of plain values, read strictly and written back exactly."""

import dataclasses
import types
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from qkv.base.errors import ConfigError, brief, nearest

T = TypeVar("T")
RANGES: dict[str, tuple[float, float]] = {  # the first that fits a name counts
    "n_segments": (0, 1024),
    "n_registers": (0, 1024),
    "n_labels": (1, 2**20),
    "n_*": (1, 1024),
    "d_*": (1, 2**20),
    "max_len": (1, 2**20),
    "*vocab_size": (1, 2**24),
    "*_id": (0, 2**24),
    "dropout*": (0, 1),
    "eps": (0, 1),
}


def to_dict(cfg: Any) -> dict[str, Any]:
    """Return the configuration as plain values, fields in their declared order, options that are None left out."""
    values = {field.name: getattr(cfg, field.name) for field in dataclasses.fields(cfg)}
    return {k: to_dict(v) if dataclasses.is_dataclass(v) else v for k, v in values.items() if v is not None}


def from_dict(cls: type[T], data: Mapping[str, Any], where: str) -> T:
    """Build `cls` from plain values; `where` names their source in errors.

    Raises ConfigError that lists every unknown key, every missing one and every value of a wrong type.
    """
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    faults = [f'unknown key "{key[:80]}"{_hint(key, fields)}' for key in data if key not in fields]
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in data:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                faults.append(f'missing key "{name}"')
            continue
        try:
            values[name] = _fit(hints[name], data[name], f"{where}: {name}")
        except TypeError:
            faults.append(f'"{name}" is {brief(data[name])}, wanted {_spell(hints[name])}')
    if faults:
        raise ConfigError(f"{where}: " + "; ".join(faults))
    return cls(**values)


def _fit(hint: Any, value: Any, where: str) -> Any:
    """Return the value in the field's own type, or raise TypeError."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _first_fit(args, value, where)
    if origin is Literal and value in args:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(_fit(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise TypeError


def _first_fit(hints: tuple[Any, ...], value: Any, where: str) -> Any:
    for hint in hints:
        try:
            return _fit(hint, value, where)
        except TypeError:
            continue
    raise TypeError


def _spell(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(map(_spell, args))
    if origin is Literal:
        return " or ".join(f'"{choice}"' for choice in args)
    if hint is types.NoneType:
        return "nothing"
    return hint.__name__ if origin is None else str(hint)


def _hint(name: str, names: Mapping[str, Any]) -> str:
    close = nearest(name, names)
    return f".{close}" if close else ""


def choose(name: str, value: str, allowed: Mapping[str, T], where: str) -> T:
    """Look `value` up in a table of choices, or raise ConfigError naming the choices and the nearest one."""
    if value not in allowed:
        raise ConfigError(
            f'{where}: {name} "{value[:80]}" is not one of {", ".join(allowed)}.{nearest(value, allowed)}'
        )
    return allowed[value]


def check_ranges(cfg: Any) -> None:
    """Raise ConfigError that lists every number no net can have: the house's names say which are counts, widths, rates.

    Files ask for as much as they like: these bounds are met before anything is built.
    """
    faults = []
    for name, value in to_dict(cfg).items():
        low, high = next((bounds for pattern, bounds in RANGES.items() if fnmatchcase(name, pattern)), (None, None))
        if low is not None and not low <= value <= high:
            faults.append(f"{name} is {value}; it must be from {low:,} to {high:,}")
        if name.endswith("_id") and value >= cfg.vocab_size:
            faults.append(f"{name} is {value}, outside the vocabulary ({cfg.vocab_size:,})")
    if faults:
        raise ConfigError("; ".join(faults) + ".")
