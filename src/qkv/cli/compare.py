"""Commands that compare and convert: tables, diff, trace, convert, verify."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from qkv.cli.app import NO_OUTPUT, Flags, app, show

Name = Annotated[str, Parameter(help="A folder with a model, or a name on the hub.")]
Size = Annotated[str, Parameter(help="A size, such as roberta-base, or a family.")]


@app.command
def tables(
    families: Annotated[list[str] | None, Parameter(help="Only these families.")] = None,
    /,
    *,
    output: Flags = NO_OUTPUT,
) -> None:
    """Count every published size: our parameters beside the published number, and why they differ."""
    from qkv.screen.compare import show_counts
    from qkv.verbs.tables import tables

    show(tables(families or ()), show_counts, output)


@app.command
def diff(a: Size, b: Size, /, *, output: Flags = NO_OUTPUT) -> None:
    """Say what changed between two models: settings, parameters and their shapes, attention."""
    from qkv.screen.compare import show_diff
    from qkv.verbs.diff import diff

    show(diff(a, b), show_diff, output)


@app.command
def trace(
    model: Name,
    text: Annotated[str, Parameter(help="A short text: every step is shown.")],
    /,
    *,
    layer: Annotated[int, Parameter(help="Which layer, from 0.")] = 0,
    head: Annotated[int, Parameter(help="Which head, from 0.")] = 0,
    output: Flags = NO_OUTPUT,
) -> None:
    """Work one attention head through a text, with real numbers: q, k, v, scores, softmax, sum."""
    from qkv.screen.compare import show_trace
    from qkv.verbs.trace import trace

    show(trace(model, text, layer=layer, head=head), show_trace, output)


@app.command
def convert(
    model: Name,
    /,
    *,
    to: Annotated[str, Parameter(help="hf (transformers), timm, or qkv.")],
    out: Annotated[Path, Parameter(help="A new folder.")],
    output: Flags = NO_OUTPUT,
) -> None:
    """Write a model's files in another format."""
    from qkv.verbs.convert import convert

    folder = convert(model, to=to, out=out)
    show({"folder": str(folder)}, lambda _: Text(f"Written: {folder}"), output)


@app.command
def verify(
    model: Annotated[Path, Parameter(help="A folder that transformers or timm wrote.")],
    /,
    *,
    save: Annotated[Path | None, Parameter(help="Write the proof to this JSON file.")] = None,
    output: Flags = NO_OUTPUT,
) -> None:
    """Compare a model here with the reference: every tensor, every layer's states, the tokenizer."""
    from qkv.screen.compare import show_proof
    from qkv.verbs.verify import verify

    proof = verify(model, save=save)
    show(proof, show_proof, output)
    if not proof.holds:
        sys.exit(1)
