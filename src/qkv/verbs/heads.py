"""A net with another head: what was learned stays, what is new is drawn."""

import re
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

import torch

from qkv.base import seeds
from qkv.base.errors import ConfigError, nearest
from qkv.inside.pruning import remove, removed_from
from qkv.models import family_of

HEAD = re.compile(r"heads?\.")


def settled(cfg: Any, **settings: Any) -> Any:
    """Return a configuration with those of the settings that it knows; None leaves what it has.

    A net whose labels are read through a pooler gets one.
    """
    known = {field.name for field in fields(cfg)}
    settings = {name: value for name, value in settings.items() if name in known and value is not None}
    if settings.get("head") == "classify" and getattr(cfg, "summary", None) == "pooler":
        settings["pooler"] = True
    return replace(cfg, **settings)


def with_head(net: Any, cfg: Any, *, seed: int, new: bool = False) -> tuple[Any, list[str]]:
    """Return a net of this configuration with the weights of `net`, and the names of those that were drawn.

    A head of another kind is drawn, and one of the same kind if it is to be `new`.
    """
    seeds.plant(seed, 0)
    made = family_of(net).net(cfg)
    remove(made, removed_from(net))
    own, given = made.state_dict(), net.state_dict()
    new = new or cfg.head != net.cfg.head
    drawn = [name for name in own if name not in given or (new and HEAD.match(name))]
    made.load_state_dict({name: own[name] if name in drawn else given[name] for name in own})
    return made, drawn


def freeze(net: torch.nn.Module, pattern: str, drawn: list[str]) -> int:
    """Let the parameters that a pattern names stay as they are; return how many numbers that is.

    pattern: of names, such as "stack.blocks.0.*" or "token.*"; "body" is all but what was drawn anew and the head.
    """
    names = dict(net.named_parameters())
    if pattern == "body":
        chosen = [name for name in names if name not in drawn and not HEAD.match(name)]
    else:
        chosen = [name for name in names if fnmatchcase(name, pattern)]
    if not chosen:
        raise ConfigError(f'--freeze "{pattern}" names no parameter of this net.{nearest(pattern, names)}')
    if len(chosen) == len(names):
        raise ConfigError(f'--freeze "{pattern}" names all parameters: nothing is left to train.')
    for name in chosen:
        names[name].requires_grad_(False)
    return sum(names[name].numel() for name in chosen)
