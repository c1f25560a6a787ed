"""The rows of SIZES are the published models: as copies of their config.json say, or listed as unverified."""

import dataclasses
import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from qkv.models import FAMILIES, get_family
from qkv.models.family import Family

HERE = Path(__file__).parent
FOLDER, UNVERIFIED = HERE / "configs", HERE / "unverified.txt"
ROWS: dict[str, Family] = {name: family for family in map(get_family, FAMILIES) for name in family.sizes}
FOUND = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
# What a file says of one use of a net: its head, rates of dropout, special tokens. A row need not have them.
FREE = ("head", "legacy_head", "pooler", "n_labels", "dropout*", "pad_id", "start_id", "end_ids")


def is_free(field: str) -> bool:
    return any(Path(field).match(free) for free in FREE)


def read(name: str, **changes: Any) -> dict[str, Any]:
    """Return the fields of a published configuration that are free in no use of the net."""
    config = {key: value for key, value in FOUND[name].items() if key != "architectures"} | changes
    return fixed(ROWS[name].formats["hf"].read_config(config))


def fixed(cfg: Any) -> dict[str, Any]:
    values = ((field.name, getattr(cfg, field.name)) for field in dataclasses.fields(cfg))
    return {name: value for name, value in values if not is_free(name)}


@pytest.mark.parametrize("name", FOUND)
def test_a_row_is_what_was_published(name):
    assert read(name) == fixed(ROWS[name].sizes[name])


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("key", ["num_hidden_layers", "intermediate_size"])
def test_another_net_is_told_apart(name, key):
    assert read(name, **{key: 2 * FOUND[name][key]}) != fixed(ROWS[name].sizes[name])


def test_every_copy_has_its_source():
    sources = tomllib.loads((FOLDER / "sources.toml").read_text("utf-8"))
    assert isinstance(sources.pop("date"), date)
    assert sources.keys() == FOUND.keys()
    assert all({"repository", "path", "says"} <= source.keys() for source in sources.values())


def test_all_other_rows_are_listed_as_unverified():
    """Who adds a row adds its published configuration, or a line to the list."""
    assert UNVERIFIED.read_text("utf-8").split() == [name for name in ROWS if name not in FOUND]
