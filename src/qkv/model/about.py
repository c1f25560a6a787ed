"""What a trace says of the model that was watched."""

from pathlib import Path
from typing import Any

from qkv.inside.contents import About

PLAIN = (str, Path, list, tuple)


def describe(model: Any) -> About:
    """Return a model's family, its size, and whether it ever learned anything."""
    name = model.family.name
    parameters = sum(p.numel() for p in model.net.parameters())
    return About(name=name, family=name, parameters=parameters, random=is_random(model))


def is_random(model: Any) -> bool:
    """Tell whether nothing was ever learned: the card says so, or no scale of any norm has moved from one."""
    if "random" in model.card:
        return bool(model.card["random"])
    norms = [m for m in model.net.modules() if "Norm" in type(m).__name__ and getattr(m, "weight", None) is not None]
    return bool(norms) and all(bool((norm.weight == 1).all()) for norm in norms)


def spell(given: Any, target: str | None) -> str:
    """Return an input as Python would write it; a picture without a file is called so."""
    given = getattr(given, "source", given)  # of a pair
    plain = repr(str(given) if isinstance(given, Path) else given) if isinstance(given, PLAIN) else "picture"
    return plain + (f", {target!r}" if target else "")
