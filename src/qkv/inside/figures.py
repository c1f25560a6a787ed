"""Alignments as people read them: rows are target tokens, columns source tokens, in the terminal or as a picture."""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from qkv.base import files
from qkv.base.errors import UnsupportedError

SHADES = " ░▒▓█"
GOLD = "◆"
FRAME: dict[str, Any] = {"color": "#d95f02", "linewidth": 1.2, "clip_on": False}
LONGEST = 16
# Each draws what those before it lack; those that are not installed are passed over. DejaVu comes with matplotlib.
FONTS = (
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Nirmala UI",
    "Noto Sans",
    "Arial Unicode MS",
)
_METADATA: dict[str, dict[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


@dataclass(frozen=True, slots=True)
class Alignment:
    """One map of weights with the tokens of both sides, and the gold cells (source token, target token) if known."""

    weights: Float[np.ndarray, "t s"]
    source: Sequence[str]
    target: Sequence[str]
    gold: frozenset[tuple[int, int]] = frozenset()


def render_alignment(alignment: Alignment) -> Text:
    """Draw the heat map of an alignment with block characters; gold cells carry a ◆.

    The shade of a cell is its weight, in steps of 0.2: blank under 0.1, full from 0.7 on. Columns stand straight with
    any script, and no token can move the cursor or be taken for markup.
    """
    source = [show_token(token) for token in alignment.source]
    target = [show_token(token) for token in alignment.target]
    margin = max(map(cell_len, target), default=0) + 1
    text = _column_names(source, margin)
    for t, token in enumerate(target):
        text.append(" " * (margin - 1 - cell_len(token)) + token + " ", style="bold")
        for s in range(len(source)):
            weight = float(alignment.weights[t, s])
            shade = SHADES[min(len(SHADES) - 1, int((weight + 0.1) * 5 + 1e-9))] if weight >= 0.1 else SHADES[0]
            text.append(shade, style="cyan")
            linked = (s, t) in alignment.gold
            text.append(GOLD if linked else shade, style="bold yellow" if linked else "cyan")
        text.append("\n")
    return text


def show_token(token: str) -> str:
    """Return a token as it can be seen: white space as ␣, what does not print as �, at most LONGEST cells wide."""
    shown = "".join("␣" if char.isspace() else char if char.isprintable() else "�" for char in token)
    if shown and not cell_len(shown[0]):
        shown = "◌" + shown  # or the mark would sit on what stands before it
    if cell_len(shown) > LONGEST:
        shown = set_cell_size(shown, LONGEST - 1).rstrip(" ") + "…"
    return shown or "∅"


def _column_names(names: Sequence[str], margin: int) -> Text:
    """Write the names from top to bottom, each over its column of two cells."""
    columns = [_stack(name) for name in names]
    height = max(map(len, columns), default=0)
    columns = [["  "] * (height - len(column)) + column for column in columns]
    lines = [" " * margin + "".join(column[row] for column in columns) for row in range(height)]
    return Text("\n".join(line.rstrip() for line in lines) + "\n", style="bold")


def _stack(name: str) -> list[str]:
    """Cut a name into characters, marks with what they sit on, each filled up to two cells."""
    stack: list[str] = []
    for char in name:
        if cell_len(char):
            stack.append(char)
        else:
            stack[-1] += char
    return [char + " " * (2 - cell_len(char)) for char in stack]


def draw_alignments(alignments: Mapping[str, Alignment], path: Path) -> None:
    """Save heat maps side by side, each with its title, as PNG, SVG or PDF by the file's ending.

    Needs matplotlib: UnsupportedError with the line to install it. Gold cells are framed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager
    except ModuleNotFoundError as error:
        raise UnsupportedError('Pictures need matplotlib: pip install "qkv[plots]"') from error
    if path.suffix not in _METADATA:
        raise UnsupportedError(f"Pictures are written as {', '.join(_METADATA)}, not as {path.name}.")
    installed = {font.name for font in fontManager.ttflist}
    style: Any = {"font.family": [name for name in FONTS if name in installed], "svg.hashsalt": "qkv"}
    drawn = io.BytesIO()
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the picture shows a box there
        widths = [0.22 * max(10, len(a.source)) + 1.0 for a in alignments.values()]
        height = 0.22 * max(len(a.target) for a in alignments.values()) + 1.8
        figure = Figure(figsize=(sum(widths), height), layout="constrained")
        panels = figure.subplots(1, len(alignments), squeeze=False, width_ratios=widths)[0]
        for axes, (title, alignment) in zip(panels, alignments.items(), strict=True):
            _draw(axes, title, alignment)
        framed = ", framed: the true alignment" if any(a.gold for a in alignments.values()) else ""
        figure.supxlabel(f"darker: more weight{framed}", fontsize=9)
        figure.savefig(drawn, dpi=150, format=path.suffix[1:], metadata=_METADATA[path.suffix])
    files.write_bytes(path, drawn.getvalue())


def _draw(axes: Any, title: str, alignment: Alignment) -> None:
    """Draw one heat map with the names of its rows and columns; formulas in them are text like any other."""
    axes.imshow(alignment.weights, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_title(title, fontsize=11, parse_math=False)
    names = {"fontsize": 9, "parse_math": False}
    axes.set_xticks(range(len(alignment.source)), map(show_token, alignment.source), rotation=90, **names)
    axes.set_yticks(range(len(alignment.target)), map(show_token, alignment.target), **names)
    axes.xaxis.tick_top()
    axes.tick_params(which="both", length=0)
    for side, tokens in ((axes.set_xticks, alignment.source), (axes.set_yticks, alignment.target)):
        side(np.arange(len(tokens) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.5)
    axes.set_xlabel("source", fontsize=9)
    axes.set_ylabel("target", fontsize=9)
    axes.autoscale(False)
    for s, t in alignment.gold:
        axes.plot([s - 0.5, s + 0.5, s + 0.5, s - 0.5, s - 0.5], [t - 0.5, t - 0.5, t + 0.5, t + 0.5, t - 0.5], **FRAME)
