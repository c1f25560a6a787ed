"""From a model and one input to a trace: what it read, what it looked at, what it said."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from qkv.base.errors import ConfigError
from qkv.data.pairs import Pair
from qkv.generation.outputs import check_eval
from qkv.inside.contents import About
from qkv.inside.cuts import watch_cuts
from qkv.inside.look import look
from qkv.inside.recorded import record
from qkv.inside.trace import Trace
from qkv.model.core import Model
from qkv.model.translator import Translator

PLAIN = (str, Path, list, tuple)
CODE = """import qkv

model = qkv.load({name!r})
with qkv.look(model) as seen:
    model({given})
seen.show()
"""


def explain(
    model: Model,
    given: Any,
    *,
    target: str | None = None,
    n_tokens: int | None = None,
    beams: int = 4,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    exact: bool = False,
    top: int = 16,
    name: str | None = None,
    random: bool | None = None,
) -> Trace:
    """Run a model over one input, and return a trace of it: the file behind the explorer's page.

    given: a text; a pair of texts, where the model reads such; a picture; a source, or a `Pair` with gold links, which
    is then translated, unless there is a `target`. n_tokens: how many tokens a decoder writes at most. layers, heads:
    those to keep, all unless given. exact: keep every weight, however many there are; else, where a page would become
    too large, the `top` largest of each row and a map of means. name: of the model, as `qkv.load` takes it. random:
    whether nothing was learned; unless given, the card says it, or norms that never moved.
    """
    check_eval(model.net)
    if target is not None and not isinstance(model, Translator):
        raise ConfigError(f"A {model.family.name} model takes no target; only translators do.")
    shown = model.show_input(given, target=target, n_tokens=n_tokens, beams=beams)
    with torch.inference_mode(), look(model) as seen, watch_cuts(model.net) as cuts:
        said = shown.run()
    recorded = record(seen, cuts, shown.streams, layers=layers, heads=heads, exact=exact, top=top)
    used = {one.key for one in recorded.maps}
    return Trace(
        model=About(
            name=name or model.family.name,
            family=model.family.name,
            parameters=sum(p.numel() for p in model.net.parameters()),
            random=is_random(model) if random is None else random,
        ),
        title=shown.title,
        code=CODE.format(name=name or model.family.name, given=_spell(given, target)),
        streams=tuple(stream for stream in shown.streams if stream.name != "prefix" or stream.name in used),
        maps=recorded.maps,
        tensors=recorded.tensors,
        outputs=shown.say(said),
        gold=shown.gold,
    )


def is_random(model: Model) -> bool:
    """Tell whether nothing was ever learned: the card says so, or no scale of any norm has moved from one."""
    if "random" in model.card:
        return bool(model.card["random"])
    scales = [
        m.weight for m in model.net.modules() if "Norm" in type(m).__name__ and getattr(m, "weight", None) is not None
    ]
    return bool(scales) and all(bool((scale == 1).all()) for scale in scales)


def _spell(given: Any, target: str | None) -> str:
    """Return the input as Python would write it; a picture without a name is called so."""
    if isinstance(given, Pair):
        given = given.source
    plain = repr(str(given) if isinstance(given, Path) else given) if isinstance(given, PLAIN) else "picture"
    return plain + (f", {target!r}" if target else "")
