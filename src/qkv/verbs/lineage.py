"""The lineage: every item that the lectures name, and what qkv shows of it."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, get_args

from qkv.base.config import choose, from_dict

Status = Literal["runs", "loads", "declared", "told", "planned"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One item of the lineage.

    proof: the command, test or page that shows it; reason: why a told item has none.
    """

    id: int
    title: str
    status: Status
    proof: str = ""
    reason: str = ""


def lineage(status: str | None = None) -> list[Row]:
    """List the items of the lineage in their order, or only those of one status.

    Statuses: runs (a test or command shows it), loads (reads the reference's files), declared (sizes and counts
    checked), told (the docs tell it), planned. Raises ConfigError on another one.
    """
    if status is not None:
        choose("status", status, dict.fromkeys(STATUSES), "lineage")
    table = tomllib.loads((files("qkv") / "lineage.toml").read_text("utf-8"))
    rows = [from_dict(Row, item, f"lineage.toml, item {place}") for place, item in enumerate(table["item"], 1)]
    return [row for row in rows if status in (None, row.status)]
