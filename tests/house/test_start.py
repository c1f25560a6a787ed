"""Starting costs nothing: neither `import qkv` nor `qkv --help` brings torch in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from house.tree import REPO

HEAVY = ("torch", "numpy", "tokenizers", "safetensors", "huggingface_hub", "jaxtyping", "matplotlib", "babel")
REPORT = f"import sys; print('heavy:', *[name for name in {HEAVY} if name in sys.modules])"
STARTS = {
    "import qkv": "import qkv",
    "qkv --help": """
import contextlib, io
from qkv.cli import main
sys.argv = ["qkv", "--help"]
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    main()
if "train" not in shown.getvalue(): sys.exit("no help came")
""",
}


def heavy_imports(source: Path, start: str) -> list[str]:
    """Start Python on a source folder; return the heavy packages that are loaded afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{start}\n{REPORT}"],
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("start", STARTS)
def test_a_start_imports_nothing_heavy(start):
    assert heavy_imports(REPO / "src", STARTS[start]) == []


@pytest.mark.parametrize("start", STARTS)
def test_a_planted_heavy_import_is_found(start, tmp_path):
    (tmp_path / "qkv").mkdir()
    (tmp_path / "qkv/__init__.py").write_text("import numpy\n")
    (tmp_path / "qkv/cli.py").write_text("def main():\n    print('train')\n")
    assert heavy_imports(tmp_path, STARTS[start]) == ["numpy"]
