"""Rules about families of models: each stands by itself, and one of them is short enough to be read whole."""

import ast
import io
import tokenize
from collections.abc import Iterator

from house.floors import imports
from house.tree import Breach, Module, Tree

MODELS = "qkv.models."
READ = ("models/bert.py", "nn/block.py", "nn/attention.py", "nn/mlp.py", "ops/attend.py")  # BERT, as a reader meets it
READ_LINES = 350
BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def families_apart(tree: Tree) -> Iterator[Breach]:
    """No family's file imports another family's: what two of them need lies on a lower floor."""
    names = {
        module.name.removeprefix(MODELS)
        for module in tree.src
        for node in module.tree.body
        if isinstance(node, ast.Assign) and any(isinstance(x, ast.Name) and x.id == "FAMILY" for x in node.targets)
    }
    known = frozenset(module.name for module in tree.src)
    for module in tree.src:
        mine = _family(module.name, names)
        for target, node, _ in imports(module, known) if mine else ():
            other = _family(target, names)
            if other not in (None, mine):
                yield Breach(module.at(node), f"imports {target}, which is a file of {other}")


def _family(name: str, families: set[str]) -> str | None:
    """Return the family that a module is of: "qkv.models.vit_timm" is of vit."""
    stem = name.removeprefix(MODELS) if name.startswith(MODELS) else ""
    owners = [family for family in families if stem == family or stem.startswith(f"{family}_")]
    return max(owners, key=len, default=None)


def read_whole(tree: Tree) -> Iterator[Breach]:
    """What BERT computes is told by five files, whose classes and functions have at most 350 lines of code together.

    Neither imports nor tables of sizes, docstrings, comments and blank lines count.
    """
    found = {module.path: module for module in tree.src}
    lines = {path: code_lines(found[path]) for path in (f"src/qkv/{file}" for file in READ) if path in found}
    if sum(lines.values()) > READ_LINES:
        told = ", ".join(f"{path.rpartition('/')[2]} {n}" for path, n in lines.items())
        yield Breach("src/qkv/models/bert.py", f"takes {sum(lines.values())} lines to read ({told}), not {READ_LINES}")


def code_lines(module: Module) -> int:
    """Count the lines of code in the classes and functions of a file."""
    told, defined = set[int](), set[int]()
    for node in ast.walk(module.tree):
        if isinstance(node, Definition) and ast.get_docstring(node, clean=False) is not None:
            told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    for node in module.tree.body:
        if isinstance(node, Definition):
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            defined |= set(range(first, (node.end_lineno or 0) + 1))
    code = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in BLANK:
            code |= set(range(token.start[0], token.end[0] + 1))
    return len(code & defined - told)
