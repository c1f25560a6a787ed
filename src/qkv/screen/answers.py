"""What models answer, as tables for the terminal: texts, guesses, labels, vectors."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from qkv.screen.tables import add_row, make_table, one_line

if TYPE_CHECKING:  # what is shown is made elsewhere, with torch
    from qkv.verbs.generate import Written
    from qkv.verbs.read import Embedded, Filled, Predicted


def show_written(written: "Sequence[Written]") -> RenderableType:
    """Return each prompt with what was written after it, one per line."""
    return Group(*(Text(one_line(one.prompt + one.text)) for one in written))


def show_guesses(filled: "Sequence[Filled]") -> RenderableType:
    """Return the guesses for each gap, with the text that each would make."""
    parts: list[RenderableType] = []
    for one in filled:
        for i, gap in enumerate(one.gaps):
            table = make_table("token", "probability", "text", right=(1,))
            for guess in gap:
                add_row(table, guess.token, f"{guess.probability:.3f}", one_line(guess.text))
            name = f" (gap {i + 1} of {len(one.gaps)})" if len(one.gaps) > 1 else ""
            parts += [Text(f"{one_line(one.text)}{name}", style="bold"), table, ""]
    return Group(*parts[:-1])


def show_labels(predicted: "Sequence[Predicted]") -> RenderableType:
    """Return the labels of each input with their probabilities."""
    table = make_table("input", "label", "probability", right=(2,))
    for one in predicted:
        for i, label in enumerate(one.labels):
            add_row(table, "" if i else one_line(one.input), label.label, f"{label.probability:.3f}")
    return table


def show_vectors(embedded: "Embedded") -> RenderableType:
    """Return how like each other inputs are: the cosines of their vectors."""
    vectors = embedded.vectors / np.linalg.norm(embedded.vectors, axis=1, keepdims=True).clip(1e-12)
    cosines = vectors @ vectors.T
    table = make_table("cosine of", *(str(i + 1) for i in range(len(cosines))), right=range(1, len(cosines) + 1))
    for i, (name, row) in enumerate(zip(embedded.inputs, cosines, strict=True)):
        add_row(table, f"{i + 1}  {one_line(name)}", *(f"{x:.3f}" for x in row))
    return Group(
        table, Text(f"{embedded.vectors.shape[1]} numbers each; --save FILE or --json gives them.", style="dim")
    )
