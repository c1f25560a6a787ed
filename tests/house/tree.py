"""What the house rules read: a tree of source files, parsed once, and the breaches found in it."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).parents[2]


class Breach(NamedTuple):
    """Where a rule is broken ("src/qkv/a.py::Class.method") and how."""

    where: str
    what: str


@dataclass(frozen=True)
class Module:
    """One Python file: its path from the root, and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """The name it is imported by: "qkv.nn.block", "qkv.nn" for nn/__init__.py."""
        return self.path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        return room_of(self.name)

    @property
    def is_package(self) -> bool:
        return self.path.endswith("__init__.py")

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function by its dotted name in the file."""
        return {name: node for name, node in _named(self.tree) if not isinstance(node, ast.ClassDef)}

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {name: node for name, node in _named(self.tree) if isinstance(node, ast.ClassDef)}

    def at(self, node: ast.AST) -> str:
        """Name the place of a node by the function or class around it: stable when lines move."""
        line = getattr(node, "lineno", 0)
        around = [name for name, outer in _named(self.tree) if outer.lineno <= line <= (outer.end_lineno or line)]
        return f"{self.path}::{around[-1]}" if around else self.path


@dataclass(frozen=True)
class Tree:
    """A checkout of the project, or a planted one."""

    root: Path

    @cached_property
    def src(self) -> tuple[Module, ...]:
        return tuple(self._parse("src/qkv/**/*.py"))

    @cached_property
    def tests(self) -> tuple[Module, ...]:
        return tuple(self._parse("tests/**/*.py"))

    @cached_property
    def bench(self) -> tuple[Module, ...]:
        return tuple(self._parse("bench/**/*.py"))

    @cached_property
    def pages(self) -> dict[str, str]:
        """The Markdown files that readers see, by path."""
        files = [*self.root.glob("*.md"), *self.root.glob("docs/**/*.md")]
        return {file.relative_to(self.root).as_posix(): file.read_text("utf-8") for file in sorted(files)}

    @cached_property
    def commands(self) -> frozenset[str]:
        """The commands of the frozen list ("qkv data check"), which a test holds equal to the command line."""
        lines = self.read("tests/house/cli_options.txt").splitlines()
        return frozenset(line for line in lines if line.startswith("qkv "))

    def read(self, path: str) -> str:
        """Return the text of a file, or nothing where there is none."""
        file = self.root / path
        return file.read_text("utf-8") if file.exists() else ""

    def _parse(self, pattern: str) -> Iterator[Module]:
        for file in sorted(self.root.glob(pattern)):
            text = file.read_text("utf-8")
            yield Module(file.relative_to(self.root).as_posix(), text, ast.parse(text))


def room_of(name: str) -> str:
    """The folder under qkv that a module stands in, or its own name if it stands in none ("qkv" for the package)."""
    return name.split(".")[1] if "." in name else name


Rule = Callable[[Tree], Iterator[Breach]]
Named = tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]


def _named(node: ast.AST, prefix: str = "") -> Iterator[Named]:
    """Walk functions and classes, outer before inner."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + child.name, child
            yield from _named(child, f"{prefix}{child.name}.")
        else:
            yield from _named(child, prefix)


def dotted(node: ast.AST) -> str:
    """Spell a name as it is written: `torch.manual_seed`, `open`; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the spelled name of what is called."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield dotted(node.func), node
