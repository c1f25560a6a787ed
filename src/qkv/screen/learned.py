"""What a training on raw text or on labels ends with, for the terminal: figures, a sample, what to do next."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from qkv.screen.answers import show_guesses, show_written
from qkv.screen.tables import add_row, make_table

if TYPE_CHECKING:  # what is shown is made elsewhere, with torch
    from qkv.verbs.running import Learned


def show_learned(done: "Learned") -> RenderableType:
    """Return the figures of a training, beside those of always saying the same, and a sample."""
    table = make_table("", *done.figures, right=range(1, len(done.figures) + 1))
    _add(table, "validation", done.figures)
    if done.test:
        _add(table, "test", done.test)
    parts: list[RenderableType] = [table]
    if "majority" in done.figures:
        parts.append(Text("majority: the accuracy of always giving the most frequent label", style="dim"))
    if done.sample:
        gaps = hasattr(done.sample[0], "gaps")
        parts += ["", show_guesses(done.sample) if gaps else show_written(done.sample)]  # type: ignore[arg-type]
    parts += ["", Text(f"Trained. Next: qkv {done.next}")]
    return Group(*parts)


def _add(table: Any, name: str, figures: Mapping[str, float]) -> None:
    add_row(table, name, *(f"{value:.4f}" for value in figures.values()))
