"""Commands as people give them: in this process, or as a process of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from qkv.cli import main
from verbs.small_runs import narrow_sizes


class Said(NamedTuple):
    """What a command ended with."""

    code: int
    out: str
    err: str


def in_process(capsys: Any, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[..., Said]:
    """Return a function that runs one command in `folder`, all models narrow."""
    monkeypatch.chdir(folder)
    narrow_sizes(monkeypatch)

    def run(*arguments: str | Path, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            main([str(one) for one in arguments])
            code = 0
        except SystemExit as end:
            code = 0 if end.code is None else int(end.code)
        seen = capsys.readouterr()
        assert "Traceback" not in seen.err
        return Said(code, seen.out, seen.err)

    return run


def start(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess:
    """Run one command as a process of its own."""
    command = [sys.executable, "-m", "qkv", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, env=os.environ | env, timeout=120)
