"""The command that opens the attention explorer."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.text import Text

from qkv.cli.app import NO_OUTPUT, Flags, app, show

Chosen = Annotated[list[int] | None, Parameter(negative="", consume_multiple=True)]


@app.command
def explore(
    model: Annotated[str, Parameter(help="A folder with a model, a name on the hub, or a saved trace.")],
    given: Annotated[
        str | None, Parameter(help="A text or a picture file; a sentence of the lectures if none.")
    ] = None,
    /,
    *,
    pair: Annotated[str | None, Parameter(help="A second text, for models that read two.")] = None,
    target: Annotated[str | None, Parameter(help="The translation to look at; else the model's own.")] = None,
    save: Annotated[
        Path | None, Parameter(help="Write one .html page that needs nothing else, or the .safetensors trace.")
    ] = None,
    n_tokens: Annotated[int | None, Parameter(help="Tokens that a decoder writes at most.")] = None,
    layers: Annotated[Chosen, Parameter(help="Only these layers, from 0.")] = None,
    heads: Annotated[Chosen, Parameter(help="Only these heads, from 0.")] = None,
    exact: Annotated[bool, Parameter(negative="", help="Keep every weight, however long the text.")] = False,
    port: Annotated[int, Parameter(help="Of the server; 0 takes any that is free.")] = 0,
    open: Annotated[bool, Parameter(negative="", help="Open the browser, too.")] = False,
    output: Flags = NO_OUTPUT,
) -> None:
    """Look inside a model: every attention map of one run, in a page. Without --save a local server shows it."""
    from qkv.verbs.explore import explore

    done = explore(
        model,
        given,
        pair=pair,
        target=target,
        save=save,
        port=port,
        n_tokens=n_tokens,
        layers=layers,
        heads=heads,
        exact=exact,
    )
    if done.server is None:
        told = {"title": done.title, "file": str(done.path), "maps": len(done.trace.maps)}
        show(told, lambda _: Text(f"Written: {done.path}. Open it in any browser; it needs no network."), output)
        return
    told = {"title": done.title, "address": done.server.address, "maps": len(done.trace.maps)}
    show(told, lambda _: Text(f"{done.server.address}\nOpen this address here; Ctrl-C ends."), output)  # type: ignore[union-attr]
    done.server.run(open_browser=open)
