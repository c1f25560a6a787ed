"""Rules about who may import whom, and when."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from house.tree import REPO, Breach, Module, Tree, room_of

FLOORS = (
    ("base",),
    ("ops", "text", "image", "metrics"),
    ("nn", "weights"),
    ("models",),
    ("data", "generation", "inside"),
    ("tasks",),
    ("evaluation",),
    ("training",),
    ("model",),
    ("claims", "web"),
    ("verbs",),
    ("screen",),
    ("qkv",),  # the package itself: the public names
    ("screen",),  # what the command line shows
    ("cli",),
    ("__main__",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
DOORS = ("verbs", "qkv", "screen", "cli", "__main__")  # what starts fast, and so imports inside functions
IMPORT_NAMES = {"scikit-learn": "sklearn"}


class Import(NamedTuple):
    """One imported module, by its full name, and where the import stands."""

    target: str
    node: ast.stmt
    inside: bool


def imports(module: Module, known: frozenset[str] = frozenset()) -> Iterator[Import]:
    """List what a module imports; `from a import b` names a.b where `known` has it as a module."""
    within = {id(node) for function in module.functions.values() for node in ast.walk(function)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node, id(node) in within) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            targets = {f"{source}.{alias.name}" for alias in node.names} & known or {source}
            yield from (Import(target, node, id(node) in within) for target in sorted(targets))


def _own(tree: Tree) -> frozenset[str]:
    return frozenset(module.name for module in tree.src)


def floors(tree: Tree) -> Iterator[Breach]:
    """A module imports only from lower floors or its own folder."""
    for module in tree.src:
        if module.room not in FLOOR_OF:
            yield Breach(module.path, f"{module.room} has no floor: give it one in tests/house/floors.py")
            continue
        for target, node, _ in imports(module, _own(tree)):
            room = room_of(target)
            if target.split(".")[0] != "qkv" or room == module.room:
                continue
            if FLOOR_OF.get(room, len(FLOORS)) >= FLOOR_OF[module.room]:
                yield Breach(module.at(node), f"imports {target}, which is not on a lower floor")


def circles(tree: Tree) -> Iterator[Breach]:
    """No module imports itself round a corner."""
    graph = {module.name: {i.target for i in imports(module, _own(tree)) if not i.inside} for module in tree.src}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if name in path:
            yield (*path[path.index(name) :], name)
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                yield from walk(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        for circle in walk(name, ()):
            yield Breach(circle[0], "imports itself: " + " -> ".join(circle))


@cache
def _optional_packages() -> frozenset[str]:
    """The import names of what only extras bring: qkv must start without them."""
    extras = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [one for extra in ("demo", "eval", "plots", "sentencepiece", "web") for one in extras[extra]]
    names = {re.split(r"[^\w.-]", one)[0] for one in wanted}
    return frozenset(IMPORT_NAMES.get(name, name) for name in names)


def _is_optional(target: str) -> bool:
    return target.split(".")[0] in _optional_packages()


def imports_at_the_top(tree: Tree) -> Iterator[Breach]:
    """Imports stand at the top of the file, but for those that would slow a start or need an extra.

    A module may import an optional package at its top if all who import that module do so inside a function.
    """
    listed = [(module, list(imports(module, _own(tree)))) for module in tree.src]
    extra = {m.name for m, found in listed if any(_is_optional(i.target) and not i.inside for i in found)}
    for module, found in listed:
        door = module.room in DOORS
        for target, node, inside in found:
            lazy = _is_optional(target) or target in extra
            if inside and not door and not lazy:
                yield Breach(module.at(node), f"imports {target} inside a function")
            if not inside and lazy and (door or module.name not in extra):
                yield Breach(module.at(node), f"imports {target}, which needs an extra, at the top of the file")
            if isinstance(node, ast.ImportFrom) and node.level:
                yield Breach(module.at(node), "imports by a relative name: spell it out")
            if target == "__future__":
                yield Breach(module.at(node), "imports from __future__: the oldest Python we run on needs none of it")


def empty_rooms(tree: Tree) -> Iterator[Breach]:
    """The __init__.py of a room is empty (that of models maps names to modules): importing a room costs nothing."""
    for module in tree.src:
        if module.is_package and module.name not in ("qkv", "qkv.models") and module.text.strip():
            yield Breach(module.path, "is not empty")
    folders = {module.path.rpartition("/")[0] for module in tree.src}
    for folder in sorted(folders - {module.path.rpartition("/")[0] for module in tree.src if module.is_package}):
        yield Breach(folder, "has no __init__.py")
