"""The house rules hold on this tree, and each of them finds a breach that was planted for it."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from house import families, floors, project, writing
from house.planted import PLANTED
from house.tree import REPO, Breach, Rule, Tree

RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        floors.floors,
        floors.circles,
        floors.imports_at_the_top,
        floors.empty_rooms,
        families.families_apart,
        families.read_whole,
        writing.file_sizes,
        writing.function_sizes,
        writing.budgets,
        writing.names,
        writing.protocols,
        writing.rooms_and_functions,
        writing.banned_code,
        writing.caught_and_raised,
        writing.left_behind,
        writing.one_writer,
        writing.one_seed,
        writing.test_folders,
        writing.skips,
        project.code_blocks,
        project.links,
        project.index,
        project.pins,
        project.lineage_proofs,
    )
}
TREE = Tree(REPO)
ALLOWED = tomllib.loads(TREE.read("tests/house/allowed.toml"))["allowed"]


def breaches(rule: str, tree: Tree, allowed: Iterable[dict[str, str]]) -> list[Breach]:
    """List what breaks a rule and is not allowed, and each allowance that nothing uses."""
    places = {entry["where"] for entry in allowed if entry["rule"] == rule}
    found = list(RULES[rule](tree))
    unused = sorted(places - {breach.where for breach in found})
    return [breach for breach in found if breach.where not in places] + [
        Breach(where, "is allowed in allowed.toml, but breaks nothing") for where in unused
    ]


def plant(root: Path, files: dict[str, str]) -> Tree:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    return Tree(root)


@pytest.mark.parametrize("rule", RULES)
def test_the_project_keeps(rule):
    found = breaches(rule, TREE, ALLOWED)
    assert not found, "\n".join(f"{where}: {what}" for where, what in found)


@pytest.mark.parametrize("rule", RULES)
def test_planted_breaches_are_found(rule, tmp_path):
    for number, (files, expected) in enumerate(PLANTED[rule]):
        tree = plant(tmp_path / str(number), files)
        assert [breach.where for breach in RULES[rule](tree)] == expected, files
    assert any(expected for _, expected in PLANTED[rule])


def test_every_allowance_names_a_rule_and_a_reason():
    for entry in ALLOWED:
        assert set(entry) == {"rule", "where", "reason"}, entry
        assert entry["rule"] in RULES, entry
        assert len(entry["reason"].split()) >= 3, entry


def test_an_unused_allowance_is_a_breach(tmp_path):
    tree = plant(tmp_path, {"src/qkv/nn/one.py": "assert True\n"})
    used = {"rule": "banned_code", "where": "src/qkv/nn/one.py", "reason": "planted for this test"}
    assert breaches("banned_code", tree, [used]) == []
    stale = used | {"where": "src/qkv/nn/two.py"}
    assert [breach.where for breach in breaches("banned_code", tree, [used, stale])] == [stale["where"]]
