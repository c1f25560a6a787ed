"""metrics.jsonl: what a training measured, one JSON object a line, neither lost nor doubled by a kill."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qkv.base import files
from qkv.base.errors import DataError

_NOT_IN_JSON = ("nan", "inf", "-inf")


class Log:
    """The log of one run. Lines of a step are added before the checkpoint of that step is saved, never after."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, figures: Mapping[str, Any]) -> None:
        """Append figures, "step" among them, durably; NaN and infinity are written as strings, as JSON has none."""
        plain = {k: str(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()}
        files.append_line(self.path, json.dumps(plain, allow_nan=False))

    def cut_after(self, step: int) -> None:
        """Drop the lines of later steps, which a resumed run writes again, and the half line that a kill may leave."""
        if not self.path.exists():
            return
        kept = "".join(f"{line}\n" for line in _lines(self.path) if _figures(self.path, line)["step"] <= step)
        if kept.encode() != self.path.read_bytes():
            files.write_text(self.path, kept)


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log in order, NaN and infinity as floats again; a line still being written is left out.

    Raises DataError for a line that is no JSON object with a step.
    """
    return [_figures(path, line) for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    """Return the finished lines: what stands after the last line break was cut short, or is being written."""
    return path.read_bytes().decode(errors="replace").split("\n")[:-1]


def _figures(path: Path, line: str) -> dict[str, Any]:
    try:
        figures = json.loads(line)
        step = figures["step"]
    except (ValueError, TypeError, KeyError):
        step = None
    if not isinstance(step, int):
        raise DataError(f"{path} has a line that is no JSON object with a step: {line[:60]!r}. Remove that line.")
    return {k: float(v) if v in _NOT_IN_JSON else v for k, v in figures.items()}
