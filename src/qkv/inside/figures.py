"""Alignments as people read them: rows are target tokens, columns source tokens, in the terminal or as a picture."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from rich.text import Text

from qkv.base import files
from qkv.base.errors import UnsupportedError

SHADES = " ░▒▓█"
GOLD = "◆"
_UNDATED = {".svg": {"Date": None}}


@dataclass(frozen=True, slots=True)
class Alignment:
    """One map of weights with the tokens of both sides, and the gold cells (source token, target token) if known."""

    weights: Float[np.ndarray, "t s"]
    source: Sequence[str]
    target: Sequence[str]
    gold: frozenset[tuple[int, int]] = frozenset()


def render_alignment(alignment: Alignment) -> Text:
    """Draw the heat map of an alignment with block characters; gold cells carry a ◆.

    The shade of a cell is its weight, from blank (under 0.1) to full (0.8 and more).
    """
    target = [_shown(token) for token in alignment.target]
    margin = max(map(len, target), default=0) + 1
    text = _column_names([_shown(token) for token in alignment.source], margin)
    for t, token in enumerate(target):
        text.append(token.rjust(margin - 1) + " ", style="bold")
        for s in range(len(alignment.source)):
            weight = float(alignment.weights[t, s])
            shade = SHADES[min(len(SHADES) - 1, int((weight + 0.1) * 5 + 1e-9))] if weight >= 0.1 else SHADES[0]
            text.append(shade, style="cyan")
            linked = (s, t) in alignment.gold
            text.append(GOLD if linked else shade, style="bold yellow" if linked else "cyan")
        text.append("\n")
    return text


def _shown(token: str) -> str:
    """Return a token so that white space can be seen."""
    return "".join("␣" if char.isspace() else char for char in token) or "∅"


def _column_names(names: Sequence[str], margin: int) -> Text:
    """Write the names from top to bottom, each over its column."""
    height = max(map(len, names), default=0)
    columns = [name.rjust(height) for name in names]
    lines = [" " * margin + "".join(f"{column[row]} " for column in columns) for row in range(height)]
    return Text("\n".join(line.rstrip() for line in lines) + "\n", style="bold")


def draw_alignments(alignments: Mapping[str, Alignment], path: Path) -> None:
    """Save heat maps side by side, each with its title, as PNG, SVG or PDF by the file's ending.

    Needs matplotlib: UnsupportedError with the line to install it. Gold cells are framed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ModuleNotFoundError as error:
        raise UnsupportedError('Pictures need matplotlib: pip install "qkv[plots]"') from error
    widths = [max(3.0, 0.26 * len(a.source) + 1.6) for a in alignments.values()]
    height = max(0.26 * len(a.target) + 2.0 for a in alignments.values())
    figure = Figure(figsize=(sum(widths), height), layout="constrained")
    for axes, (title, a) in zip(
        figure.subplots(1, len(alignments), squeeze=False, width_ratios=widths)[0], alignments.items(), strict=True
    ):
        axes.imshow(a.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(title, fontsize=10)
        axes.set_xticks(range(len(a.source)), [_shown(s) for s in a.source], rotation=90, fontsize=8)
        axes.set_yticks(range(len(a.target)), [_shown(t) for t in a.target], fontsize=8)
        axes.xaxis.tick_top()
        for s, t in a.gold:
            axes.add_patch(Rectangle((s - 0.5, t - 0.5), 1, 1, fill=False, edgecolor="#d95f02", linewidth=1.2))
    figure.supxlabel("source", fontsize=9)
    figure.supylabel("target", fontsize=9)
    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "qkv"}):  # the same picture gives the same bytes
        figure.savefig(drawn, dpi=150, format=path.suffix[1:], metadata=_UNDATED.get(path.suffix))
    files.write_bytes(path, drawn.getvalue())
