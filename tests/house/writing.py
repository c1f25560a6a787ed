"""Rules about how code is written: sizes, names, and what has no place in it."""

import ast
import re
from collections.abc import Iterator

from house.tree import Breach, Module, Tree, calls, dotted

FILE_LINES = 300
FUNCTION_LINES = 60
BUDGETS = {"Attention": {"__init__": 12, "forward": 8}, "Block": {"__init__": 10}}
EMPTY_NAMES = re.compile(r"(utils?|common|misc|helpers?)")
EMPTY_CLASSES = re.compile(r"_?(Base|Abstract)[A-Z_]|\w*(Manager|Helper)$|_?Base$")
LEFT_BEHIND = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
FOREIGN_ERRORS = {"Exception", "BaseException", "ValueError", "TypeError", "RuntimeError", "AssertionError"}
WRITING_METHODS = {
    "write_text",
    "write_bytes",
    "mkdir",
    "unlink",
    "rmdir",
    "makedirs",
    "rmtree",
    "copytree",
    "symlink_to",
}
WRITING_CALLS = {"os.rename", "os.replace", "os.remove", "os.truncate", "shutil.copy", "shutil.copyfile", "shutil.move"}
RESEEDS = ("manual_seed", "manual_seed_all", "random.seed", "seed_everything")
PRINTING = ("cli", "__main__")


def file_sizes(tree: Tree) -> Iterator[Breach]:
    """A file has at most 300 lines."""
    for module in (*tree.src, *tree.tests, *tree.bench):
        lines = len(module.text.splitlines())
        if lines > FILE_LINES:
            yield Breach(module.path, f"{lines} lines, {FILE_LINES} are allowed")


def function_sizes(tree: Tree) -> Iterator[Breach]:
    """A function fits one screen, its docstring not counted."""
    for module in tree.src:
        for name, node in module.functions.items():
            first = node.body[0]
            told = (first.end_lineno or 0) - first.lineno + 1 if ast.get_docstring(node, clean=False) is not None else 0
            lines = (node.end_lineno or 0) - node.lineno + 1 - told
            if lines > FUNCTION_LINES:
                yield Breach(f"{module.path}::{name}", f"{lines} lines, {FUNCTION_LINES} are allowed")


def budgets(tree: Tree) -> Iterator[Breach]:
    """The parts that every family shares keep few arguments: what one family needs, it adds in a subclass."""
    for module in tree.src:
        for name, node in module.functions.items():
            owner, _, method = name.rpartition(".")
            allowed = BUDGETS.get(owner, {}).get(method)
            if allowed is None:
                continue
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs][1:]
            if len(arguments) > allowed:
                yield Breach(f"{module.path}::{name}", f"{len(arguments)} arguments, {allowed} are allowed")
            if node.args.vararg or node.args.kwarg:
                yield Breach(f"{module.path}::{name}", "takes any number of arguments")


def names(tree: Tree) -> Iterator[Breach]:
    """A file and a class are named for what they do."""
    for module in (*tree.src, *tree.tests, *tree.bench):
        stem = module.path.rpartition("/")[2].removesuffix(".py").removeprefix("test_")
        if EMPTY_NAMES.fullmatch(stem):
            yield Breach(module.path, "its name says nothing about its job")
        for name in module.classes:
            if EMPTY_CLASSES.match(name.rpartition(".")[2]):
                yield Breach(f"{module.path}::{name}", "its name says nothing about its job")


def protocols(tree: Tree) -> Iterator[Breach]:
    """A Protocol is runtime_checkable: the tests check types at every call, and could not import it otherwise."""
    for module in tree.src:
        for name, node in module.classes.items():
            marks = {dotted(mark).rpartition(".")[2] for mark in node.decorator_list}
            if (
                any(dotted(base).rpartition(".")[2] == "Protocol" for base in node.bases)
                and "runtime_checkable" not in marks
            ):
                yield Breach(f"{module.path}::{name}", "is a Protocol without @runtime_checkable")


def rooms_and_functions(tree: Tree) -> Iterator[Breach]:
    """No public name is a room's name: `qkv.data` could not be both."""
    rooms = {module.room for module in tree.src} - {"qkv"}
    for module in tree.src:
        if module.room == "verbs":
            for name in sorted(rooms & {*module.functions, *module.classes}):
                yield Breach(f"{module.path}::{name}", f"{name} is the name of a room")
        if module.name == "qkv":
            words = {node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant)}
            for name in sorted(rooms & words):
                yield Breach(module.path, f"makes public {name}, which is the name of a room")


def banned_code(tree: Tree) -> Iterator[Breach]:
    """No assert, print outside the command line, eval, exec or pickle in src."""
    for module in tree.src:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Assert):
                yield Breach(module.at(node), "assert: raise a QkvError that says what to do")
            if isinstance(node, ast.Import | ast.ImportFrom):
                modules = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                if modules & PICKLES:
                    yield Breach(module.at(node), "imports a module that runs code from files")
        for name, call in calls(module):
            if name in ("eval", "exec", "__import__"):
                yield Breach(module.at(call), f"{name}()")
            if name == "print" and module.room not in PRINTING:
                yield Breach(module.at(call), "print() outside the command line")
            if name in ("torch.load", "torch.save") or any(word.arg == "allow_pickle" for word in call.keywords):
                yield Breach(module.at(call), f"{name}() reads or writes pickles")


def caught_and_raised(tree: Tree) -> Iterator[Breach]:
    """Errors are caught by name and raised as QkvErrors; a bare Exception is caught only to be raised again."""
    for module in tree.src:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                caught = {dotted(one) for one in (ast.walk(node.type) if node.type else ())} or {"Exception"}
                again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                if caught & {"Exception", "BaseException"} and not again:
                    yield Breach(module.at(node), "catches every error")
            if isinstance(node, ast.Raise) and node.exc is not None:
                raised = dotted(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
                if raised in FOREIGN_ERRORS | {"NotImplementedError"}:
                    yield Breach(module.at(node), f"raises {raised}: raise a QkvError that says what to do")
        for name, call in calls(module):
            if name.endswith("suppress") and {dotted(one) for one in call.args} & {"Exception", "BaseException"}:
                yield Breach(module.at(call), "swallows every error")


def left_behind(tree: Tree) -> Iterator[Breach]:
    """Nothing is left for later in the source."""
    for module in tree.src:
        for number, line in enumerate(module.text.splitlines(), 1):
            if found := LEFT_BEHIND.search(line):
                yield Breach(module.path, f"line {number}: {found[0]}")


def one_writer(tree: Tree) -> Iterator[Breach]:
    """Every write goes through base/files.py, which cannot lose a file half-way."""
    for module in tree.src:
        if module.path == "src/qkv/base/files.py":
            continue
        for name, call in calls(module):
            if _writes(name, call):
                yield Breach(module.at(call), f"{name}() writes past qkv.base.files")


def _writes(name: str, call: ast.Call) -> bool:
    owner, _, method = name.rpartition(".")
    if method == "open":
        return _write_mode(call, 1 if owner in ("", "io", "gzip") else 0)
    if owner == "files":  # qkv.base.files itself
        return False
    return method in WRITING_METHODS or name in WRITING_CALLS


def _write_mode(call: ast.Call, position: int) -> bool:
    """Whether an open() asks to write; a mode that is no literal counts as reading."""
    given = [word.value for word in call.keywords if word.arg == "mode"] or call.args[position : position + 1]
    mode = given[0].value if given and isinstance(given[0], ast.Constant) else "r"
    return isinstance(mode, str) and bool(set(mode) & set("wax+"))


def one_seed(tree: Tree) -> Iterator[Breach]:
    """Only base/seeds.py seeds: a resumed run draws what the unbroken one would have drawn."""
    for module in tree.src:
        if module.path == "src/qkv/base/seeds.py":
            continue
        for name, call in calls(module):
            if name.endswith(RESEEDS):
                yield Breach(module.at(call), f"{name}() seeds past qkv.base.seeds")


def test_folders(tree: Tree) -> Iterator[Breach]:
    """Test folders carry no __init__.py: test files of one name may stand in two rooms."""
    for module in tree.tests:
        if module.is_package:
            yield Breach(module.path, "a test folder is no package")


def skips(tree: Tree) -> Iterator[Breach]:
    """A test that is skipped or expected to fail is listed with its reason."""
    for module in tree.tests:
        for node in ast.walk(module.tree):
            name = dotted(node) if isinstance(node, ast.Attribute) else ""
            if re.fullmatch(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)", name):
                yield Breach(_test_around(module, node), f"{name} hides a test")


def _test_around(module: Module, node: ast.AST) -> str:
    """Name the test a decorator or call belongs to; decorators stand above the function they mark."""
    for name, function in module.functions.items():
        if any(node is inner for inner in ast.walk(function)):
            return f"{module.path}::{name}"
    return module.path
