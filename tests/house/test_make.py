"""What `make` does on a bare machine: it makes .venv once, fills it by the pins, and refuses an old Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from house.tree import REPO

OLD = "exit 1"
FINE = """
echo "$@" >> log
if [ "$2" = venv ]; then mkdir -p .venv/bin; cp bin/python3 .venv/bin/python; fi
"""


@pytest.fixture
def bare(tmp_path):
    """A folder with our Makefile, and tools enough to run it; no Python yet."""
    shutil.copy(REPO / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    (tmp_path / "bin").mkdir()
    for tool in ("make", "sh", "touch", "mkdir", "cp"):
        path = shutil.which(tool)
        assert path, f"this test needs {tool}"
        (tmp_path / "bin" / tool).symlink_to(path)
    return tmp_path


def make(target: str, folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run a target where the only Python is a shell script."""
    (folder / "bin/python3").write_text(f"#!/bin/sh\n{python}")
    (folder / "bin/python3").chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    command = [str(folder / "bin/make"), target]
    return subprocess.run(
        command, cwd=folder, env=clean | {"PATH": str(folder / "bin")}, capture_output=True, text=True
    )


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "lint", "bench"])
def test_an_old_python_is_refused_in_one_sentence(target, bare):
    done = make(target, bare, OLD)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert len(said) == 1 and said[0].startswith("qkv needs Python 3.11 or newer")
    assert not (bare / ".venv").exists()


def test_the_environment_is_made_once_and_filled_again_when_the_pins_change(bare):
    for _ in range(2):
        assert make(".venv/.with-test", bare, FINE).returncode == 0
    log = (bare / "log").read_text()
    assert log.count("-m venv .venv") == 1
    assert log.count("-m pip install") == 1
    assert "-c constraints.txt -e .[test]" in log
    late = (bare / ".venv/.with-test").stat().st_mtime + 1
    os.utime(bare / "constraints.txt", (late, late))
    assert make(".venv/.with-test", bare, FINE).returncode == 0
    log = (bare / "log").read_text()
    assert log.count("-m venv .venv") == 1
    assert log.count("-m pip install") == 2
