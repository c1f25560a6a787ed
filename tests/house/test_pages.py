"""What the README and the docs show is run: Python in this process, `$ qkv ...` in a shell, both in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from house.project import blocks
from house.tree import REPO, Tree

PAGES = {path: text for path, text in Tree(REPO).pages.items() if any(b.no_run is None for b in blocks(text))}


def run_page(text: str, folder: Path) -> None:
    """Run a page's blocks in their order; Python shares its names, all share the folder."""
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(text):
        if block.no_run is not None:
            continue
        if block.language == "python":
            exec(compile("\n" * block.line + block.code, "page", "exec"), names)
        for command in commands(block.code) if block.language == "console" else ():
            done = subprocess.run(command, shell=True, cwd=folder, env=_environment(), capture_output=True, text=True)
            assert done.returncode == 0, f"line {block.line}: {command}\n{done.stdout}\n{done.stderr}"


def commands(code: str) -> list[str]:
    """Return the qkv commands of a console block; a backslash carries a command over to the next line."""
    joined = re.sub(r"\\\n\s*(> )?", " ", code)
    return re.findall(r"^\$ (qkv .*)$", joined, re.MULTILINE)


def _environment() -> dict[str, str]:
    scripts = str(Path(sys.executable).parent)
    return os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_page(PAGES[page], tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 1\n```\n```python\nassert x == 2\n```\n",
        "```console\n$ qkv fly\n```\n",
        "```console\n$ qkv lineage --status \\\n      runs && false\n```\n",
    ],
)
def test_a_planted_fault_on_a_page_is_found(text, tmp_path):
    with pytest.raises(AssertionError):
        run_page(text, tmp_path)


def test_what_is_marked_is_not_run(tmp_path):
    run_page("<!-- no-run: it would fail -->\n```python\nassert False\n```\n", tmp_path)


def test_commands_are_found_over_lines():
    code = "$ qkv train transformer-tiny \\\n    names.tsv\nstep 1\n$ make demo\n$ qkv doctor\n"
    assert commands(code) == ["qkv train transformer-tiny  names.tsv", "qkv doctor"]
