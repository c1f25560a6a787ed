"""Counts, differences and worked passes, as tables for the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from qkv.screen.tables import add_row, make_table, one_line

if TYPE_CHECKING:  # what is shown is made elsewhere, with torch
    from qkv.verbs.diff import Diff, Difference
    from qkv.verbs.tables import Count
    from qkv.verbs.trace import Trace
    from qkv.verbs.verify import Proof

SHOWN = 6  # numbers of a vector


def show_counts(counts: "Sequence[Count]") -> RenderableType:
    """Return all sizes with their parameters, ours and as published."""
    table = make_table("model", "family", "parameters", "published", "source", "why they differ", right=(2, 3))
    for one in counts:
        published = "" if one.published is None else spell(one.published)
        add_row(table, one.model, one.family, f"{one.parameters:,}", published, one.source, one.why)
    return table


def spell(n: float) -> str:
    """Return a published number as papers write it: 110M, 174.6B; a whole number that is not round, in full."""
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if n >= size and round(n / size, 2) * size == n:
            return f"{n / size:g}{unit}"
    return f"{n:,.0f}"


def show_diff(diff: "Diff") -> RenderableType:
    """Return what differs, part by part."""
    heads = [Text(f"{name}: {about}") for name, about in zip((diff.a, diff.b), diff.about, strict=True)]
    parts: list[RenderableType] = [*heads, ""]
    for title, rows in (("setting", diff.settings), ("parameter", diff.parameters), ("attention", diff.maps)):
        parts += [_differences(title, diff, rows) if rows else Text(f"No {title} differs."), ""]
    return Group(*parts[:-1])


def _differences(title: str, diff: "Diff", rows: "Sequence[Difference]") -> RenderableType:
    table = make_table(title, diff.a, diff.b)
    for row in rows:
        add_row(table, row.what, row.a, row.b)
    return table


def show_trace(trace: "Trace") -> RenderableType:
    """Return each step of the pass with its formula; of vectors the first numbers."""
    steps = (
        ("x: what enters the first layer", trace.embedding, False),
        ("q = W_q x + b_q", trace.q, False),
        ("k = W_k x + b_k", trace.k, False),
        ("v = W_v x + b_v", trace.v, False),
        ("scores: q k^T", trace.scores, True),
        (f"scaled: times {trace.scale:.4g}, -inf where no look is allowed", trace.scaled, True),
        ("weights: softmax of each row", trace.weights, True),
        ("output: weights v", trace.output, False),
    )
    parts: list[RenderableType] = [Text(f"{trace.model}: layer {trace.layer}, head {trace.head}")]
    for title, rows, square in steps:
        names = [one_line(token) for token in trace.tokens]
        n = len(rows[0])
        columns = names if square else [str(i) for i in range(min(n, SHOWN))]
        table = make_table(
            "", *columns, *([] if square or n <= SHOWN else [f"... {n}"]), right=range(1, len(columns) + 1)
        )
        for name, row in zip(names, rows, strict=True):
            add_row(table, name, *(f"{x:.3f}" for x in row[: len(columns)]))
        parts += ["", Text(title, style="bold"), table]
    return Group(*parts)


def show_proof(proof: "Proof") -> RenderableType:
    """Return what was compared, and whether it holds."""
    table = make_table("compared", "found")
    lost = ", ".join(proof.differing[:3])
    add_row(table, "tensors", f"{len(proof.tensors)}, {f'not equal: {lost}' if lost else 'equal bit for bit'}")
    for i, error in enumerate(proof.layers):
        add_row(table, f"stream after layer {i}" if i else "stream before layer 1", f"{error:.1e}")
    add_row(table, "output", f"{proof.outputs:.1e}")
    if proof.texts:
        add_row(table, "tokenizer", f"{proof.texts[0]} of {proof.texts[1]} texts have equal ids")
    versions = ", ".join(f"{name} {number}" for name, number in proof.versions.items())
    verdict = Text("It is the same model." if proof.holds else "It is NOT the same model.", style="bold")
    return Group(table, "", verdict, Text(versions, style="dim"))
