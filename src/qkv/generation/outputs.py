"""What generation returns, and which tokens end an output or stay out of it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import nn

from qkv.base.errors import UnsupportedError
from qkv.models.family import Decoder, EncoderDecoder

Net = Decoder | EncoderDecoder
Why = Literal["end", "room", "stop", "interrupted"]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One finished output.

    ids: the tokens, the end token included if it was reached, those of the prompt not. score: log-probability /
    length ** penalty. rows: which row of each step's batch wrote the token: with it, what was seen in a step can be
    stitched to the ids. why: what ended it: the end token, the room, a stop string, or Ctrl-C. text: of the ids without
    the end token, before the stop string; empty where nobody said how to decode.
    """

    ids: list[int]
    score: float
    rows: list[int]
    why: Why
    text: str = ""


class Special(NamedTuple):
    """Tokens that end an output, and tokens that no output may hold."""

    ends: frozenset[int]
    never: list[int]


def special_tokens(net: Net, end_ids: Collection[int] | None, never: Collection[int] | None) -> Special:
    """Take what was given, else what the configuration names; an encoder-decoder then never writes padding."""
    cfg: Any = net.cfg
    answers = isinstance(net, EncoderDecoder)
    named = (cfg.end_id,) if answers else cfg.end_ids
    padding = (cfg.pad_id,) if answers else ()
    return Special(frozenset(named if end_ids is None else end_ids), sorted(padding if never is None else never))


def check_eval(net: nn.Module) -> None:
    """Raise UnsupportedError for a net in training mode."""
    if net.training:
        raise UnsupportedError(
            "The net is in training mode, where dropout garbles what it says: call net.eval() first."
        )
