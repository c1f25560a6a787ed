"""Rules about what surrounds the code: pins, pages, and the proofs that the lineage names."""

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

from house.tree import Breach, Tree

FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NO_RUN = re.compile(r"<!-- no-run: *(.*?) *-->\s*$")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PIN = re.compile(r"([A-Za-z0-9._-]+)==[0-9][A-Za-z0-9.]*")
NEEDS_PROOF = ("runs", "loads", "declared")
STATUSES = (*NEEDS_PROOF, "told", "planned")


class Block(NamedTuple):
    """A piece of code on a page: its language, its text, its line, and the reason why it is not run, if it is not."""

    language: str
    code: str
    line: int
    no_run: str | None


def blocks(text: str) -> list[Block]:
    """Find the code blocks of a page; a comment `<!-- no-run: reason -->` above one keeps it from being run."""
    found = []
    for match in FENCE.finditer(text):
        before = NO_RUN.search(text[: match.start()])
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match[1], match[2], line, before[1] if before else None))
    return found


def code_blocks(tree: Tree) -> Iterator[Breach]:
    """Python on a page is Python; a console shows commands; what is not run says why."""
    for path, text in tree.pages.items():
        for block in blocks(text):
            where = f"{path}:{block.line}"
            if block.no_run == "":
                yield Breach(where, "no-run without a reason")
            if block.language == "console" and not re.search(r"^\$ ", block.code, re.MULTILINE):
                yield Breach(where, "a console block without a line that starts with $")
            if block.language in ("", "text") and re.search(r"^(\$ )?qkv ", block.code, re.MULTILINE):
                yield Breach(where, "write ```console and `$ qkv`, so that it is run, or say above it why it is not")
            if block.language in ("bash", "sh", "shell", "py"):
                yield Breach(where, f"write ```{'python' if block.language == 'py' else 'console'}, so that it is run")
            if block.language == "python":
                try:
                    ast.parse(block.code)
                except SyntaxError as error:
                    yield Breach(where, f"is not Python: {error.msg}")


def links(tree: Tree) -> Iterator[Breach]:
    """A link on a page to a file of the project leads somewhere."""
    for path, text in tree.pages.items():
        for target in LINK.findall(FENCE.sub("", text)):
            file = target.partition("#")[0]
            if file and ":" not in file and not ((tree.root / path).parent / file).exists():
                yield Breach(path, f"links to {target}, which is not there")


def index(tree: Tree) -> Iterator[Breach]:
    """Every page of the docs is linked from their index."""
    listed = set(LINK.findall(tree.read("docs/README.md")))
    for path in tree.pages:
        name = path.removeprefix("docs/")
        if path.startswith("docs/") and name not in {*listed, "README.md"}:
            yield Breach(path, "is not linked from docs/README.md")


def pins(tree: Tree) -> Iterator[Breach]:
    """constraints.txt is a list of name==version, free of addresses and paths, with every direct dependency in it."""
    lines = [line for line in tree.read("constraints.txt").splitlines() if line and not line.startswith("#")]
    for line in lines:
        if not PIN.fullmatch(line):
            yield Breach("constraints.txt", f"{line!r} is not name==version")
    pinned = {_plain(line.partition("==")[0]) for line in lines}
    project = tomllib.loads(tree.read("pyproject.toml") or "[project]")["project"]
    wanted = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    direct = {_plain(re.split(r"[^\w.-]", one)[0]) for group in wanted for one in group}
    for name in sorted(direct - pinned - {"qkv"}):
        yield Breach("constraints.txt", f"{name} is not pinned")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lineage_proofs(tree: Tree) -> Iterator[Breach]:
    """Each row of the lineage has its number, one of the five statuses, and a proof that exists."""
    path = "src/qkv/lineage.toml"
    items = tomllib.loads(tree.read(path)).get("item", [])
    if [item.get("id") for item in items] != list(range(1, len(items) + 1)):
        yield Breach(path, "the items are not numbered 1, 2, 3, ...")
    for item in items:
        where = f"{path}::{item.get('id')}"
        status, proof = item.get("status"), item.get("proof", "")
        if status not in STATUSES:
            yield Breach(where, f"its status is {status!r}, not one of {', '.join(STATUSES)}")
        if status in NEEDS_PROOF and not proof:
            yield Breach(where, f"{status} without a proof")
        if status == "told" and not (proof.endswith(".md") or item.get("reason")):
            yield Breach(where, "told without a page of docs, nor a reason")
        if status == "planned" and proof:
            yield Breach(where, "planned, but it names a proof")
        if proof and not _exists(tree, proof):
            yield Breach(where, f"its proof does not exist: {proof}")


def _exists(tree: Tree, proof: str) -> bool:
    """Whether a test id, a command or a page of docs is there."""
    if proof.startswith("qkv "):
        return proof in tree.commands or any(proof.startswith(f"{command} ") for command in tree.commands)
    path, _, name = proof.partition("::")
    if not name:
        return path.endswith(".md") and (tree.root / path).exists()
    module = next((module for module in tree.tests if module.path == path), None)
    return module is not None and name.split("[")[0].replace("::", ".") in module.functions
