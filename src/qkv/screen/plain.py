"""Results as JSON knows them."""

import dataclasses
from pathlib import Path
from typing import Any


def plain(value: Any) -> Any:
    """Return a result as JSON knows it: dataclasses as objects, arrays as lists, keys as strings."""
    names = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else None
    names = names or getattr(value, "_fields", None)  # of a named tuple
    if names:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {k if isinstance(k, str) else ".".join(map(str, k)): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else getattr(value, "tolist", lambda: value)()
