"""Look inside a model in a browser: as one file that needs nothing, or from a server on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from qkv.base.errors import ConfigError, UnsupportedError, nearest
from qkv.inside.hiding import hide_tokens
from qkv.inside.page import Page, serve_page
from qkv.inside.surgery import edit_heads
from qkv.inside.trace import KEY, Trace
from qkv.model import Model, Viewer
from qkv.model.explain import explain
from qkv.verbs.translate import open_model
from qkv.web.serve import Server
from qkv.web.session import Kept, Session

SENTENCE = "The FBI is chasing a criminal on the run ."
SAVED = (".html", ".safetensors")


@dataclass(frozen=True, slots=True)
class Explored:
    """What was looked at; the file it was saved as, or the server that shows it once it runs."""

    title: str
    trace: Trace
    path: Path | None = None
    server: Server | None = None


def explore(
    model: Model | Path | str,
    given: Any = None,
    *,
    pair: str | None = None,
    target: str | None = None,
    save: Path | str | None = None,
    port: int = 0,
    n_tokens: int | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    exact: bool = False,
) -> Explored:
    """Run a model over a text, a pair, a source or a picture, and show every attention map of the run.

    model: a folder, a name on the hub, a Model, or a trace that was saved before. given: the sentence of the lectures
    unless told. save: an .html page that holds all it shows, or the .safetensors trace behind it; without, a server is
    made, on this machine and for this user alone: print `server.address` and `server.run()` it. The rest is as in
    `qkv.model.explain`. Raises ConfigError for another ending, before anything is computed.
    """
    path = None if save is None else Path(save)
    if path is not None and path.suffix not in SAVED:
        raise ConfigError(
            f"{path.name} is neither a page (.html) nor a trace (.safetensors).{nearest(path.suffix, SAVED)}"
        )
    name = None if isinstance(model, Model) else str(model)
    if name is not None and _is_trace(Path(name)):
        return _show_again(Trace.read(name), path, given)
    opened = open_model(model, "fp32")
    if given is None:
        if isinstance(opened, Viewer):
            raise ConfigError("This model looks at pictures: give the file of one.")
        given = SENTENCE
    given = given if pair is None else (given, pair)
    look = partial(explain, name=name, layers=layers, heads=heads, exact=exact, n_tokens=n_tokens)
    trace = look(opened, given, target=target)
    if path is not None:
        return _save(trace, path)
    session = Session(
        model=opened,
        given=given,
        trace=Kept(trace.to_bytes()),
        takes="picture" if isinstance(opened, Viewer) else "text",
        explain=look,
        ablate=partial(_switch_off, look),
        options={"target": target},
    )
    return Explored(trace.title, trace, server=Server(session, serve_page(), port=port))


def _switch_off(look: Any, model: Model, given: Any, *, off: Any, hidden: Sequence[int], **options: Any) -> Trace:
    """Look again, with heads (layer, head) set to zero and tokens of the text or source hidden."""
    with edit_heads(model, dict.fromkeys(off, 0.0)), hide_tokens(model, hidden):
        return look(model, given, **options)


def _save(trace: Trace, path: Path) -> Explored:
    if path.suffix == ".html":
        Page(trace.to_bytes(), trace.title).save(path)
    else:
        trace.write(path)
    return Explored(trace.title, trace, path=path)


def _show_again(trace: Trace, path: Path | None, given: Any) -> Explored:
    if given is not None or path is None or path.suffix != ".html":
        raise UnsupportedError("A trace is shown as it is: give --save page.html, and neither text nor picture.")
    return _save(trace, path)


def _is_trace(path: Path) -> bool:
    """Tell whether a file is a trace, by its header; a file of weights has another."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, "np") as file:
            return KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False  # loading it as weights will say what is wrong
