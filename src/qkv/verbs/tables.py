"""Every published size, counted: ours beside the number that the world knows, and why they differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from qkv.models import FAMILIES, get_family
from qkv.models.empty import build_empty


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """One size: its parameters, and what was published about them."""

    model: str
    family: str
    parameters: int
    published: float | None
    source: str
    why: str


def tables(families: Sequence[str] = ()) -> list[Count]:
    """Count all sizes of the families named, or of all; nets are built without memory."""
    counts = []
    for family in map(get_family, families or FAMILIES):
        for size, cfg in family.sizes.items():
            n = sum(p.numel() for p in build_empty(family, cfg).parameters())
            said = family.published.get(size)
            published, source, why = (float(said[0]), *said[1:]) if said else (None, "", "")
            counts.append(
                Count(model=size, family=family.name, parameters=n, published=published, source=source, why=why)
            )
    return counts
