"""Commands that tell: about data, models, this machine, and the lineage."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from qkv.cli.app import NO_OUTPUT, Flags, app, show

data = App(name="data", help="Look at data before it is trained on.")
app.command(data)


@data.command
def check(
    path: Annotated[Path, Parameter(help="A parallel file: .tsv, .jsonl, .src beside .tgt, or those with .gz.")],
    /,
    *,
    against: Annotated[Path | None, Parameter(help="Another split, to look for overlap.")] = None,
    on_bad: Annotated[Literal["raise", "skip"], Parameter(help="What to do with bad rows.")] = "raise",
    output: Flags = NO_OUTPUT,
) -> None:
    """Check a parallel file as a training would, and report what is in it."""
    from qkv.data.report import screen
    from qkv.verbs.check_data import check_data

    show(check_data(path, against=against, on_bad=on_bad), screen, output)


@app.command
def models(*, output: Flags = NO_OUTPUT) -> None:
    """List the models qkv knows, with their sizes."""
    from qkv.screen.tables import show_models
    from qkv.verbs.info import list_models

    show(list_models(), show_models, output)


@app.command
def info(
    model: Annotated[str, Parameter(help="A size, or a folder with a model.")], /, *, output: Flags = NO_OUTPUT
) -> None:
    """Say what a model is: settings, parameters by part, attention maps."""
    from qkv.screen.tables import show_info
    from qkv.verbs.info import info

    show(info(model), show_info, output)


@app.command
def doctor(*, output: Flags = NO_OUTPUT) -> None:
    """Look at this machine: versions, speed, extras, and what to do about them."""
    from qkv.screen.tables import show_doctor
    from qkv.verbs.doctor import doctor

    findings = doctor()
    show(findings, show_doctor, output)
    if not all(finding.ok for finding in findings):
        sys.exit(1)


@app.command
def lineage(
    *,
    status: Annotated[
        str | None, Parameter(help="Only rows of this status: runs, loads, declared, told, planned.")
    ] = None,
    output: Flags = NO_OUTPUT,
) -> None:
    """List what five lectures on attention describe, and what shows each item here."""
    from qkv.screen.tables import show_lineage
    from qkv.verbs.lineage import lineage

    show(lineage(status), show_lineage, output)
