"""One input as a page shows it: the tokens or patches that a net reads, a pass over them, and what the net says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from qkv.inside.contents import About, Gold, Output
from qkv.inside.streams import Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """An input: its title and streams; `run` is one pass of the net over it, `say` tells what the answer means."""

    title: str
    streams: tuple[Stream, ...]
    run: Callable[[], Tensor]
    say: Callable[[Tensor], tuple[Output, ...]]
    gold: tuple[Gold, ...] = ()


class Entered(NamedTuple):
    """An input that a model ran over while it was looked at: what its net said, which model, the input in Python."""

    shown: Shown
    said: Tensor
    about: About
    spelled: str
