"""What a trace is made of beside its tensors: the words of its header (docs/trace.md)."""

from dataclasses import dataclass
from typing import Literal

Chance = tuple[str, float]
"""A token or a label, and its probability."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """The model that was watched. random: nothing was ever learned, so its attention says nothing."""

    name: str
    family: str
    parameters: int
    random: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Map:
    """One map: which stream's tokens looked at which's, and how the file keeps it.

    The tensors' names begin with `id`. numbers: which heads of the layer they are, if not all. rows and columns: how
    many queries and keys there are; the first `rows` tokens of the query stream have one, `missing_rows` have none.
    grid, window, shift: of a layer that cuts the picture into windows, or has patches of its own size.
    """

    id: str
    layer: int
    kind: Literal["self", "cross"]
    query: str
    key: str
    heads: int
    numbers: tuple[int, ...] | None = None
    kv_heads: int
    d_head: int | None = None
    scale: float | None = None
    causal: bool = False
    window: tuple[int, int] | None = None
    shift: tuple[int, int] | None = None
    grid: tuple[int, int] | None = None
    store: Literal["weights", "top", "windows"]
    qk: bool = False
    rows: int
    columns: int
    missing_rows: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Gold:
    """Which tokens mean the same, as far as that is known: pairs (token of `key`, token of `query`)."""

    query: str
    key: str
    links: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What a head for labels says, likeliest first."""

    kind: Literal["labels"] = "labels"
    labels: tuple[Chance, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One token that was written, and those that were likeliest there."""

    token: str
    id: int
    top: tuple[Chance, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """What was written, token by token; `first` is the number of its first token in the stream."""

    kind: Literal["steps"] = "steps"
    first: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One output that a search found, and its score."""

    text: str
    score: float
    tokens: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Beams:
    """The outputs that a search found, best first; the maps are those of the best."""

    kind: Literal["beams"] = "beams"
    hypotheses: tuple[Found, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A hidden token, and what the model would put there."""

    at: int
    top: tuple[Chance, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaps:
    """All hidden tokens."""

    kind: Literal["gaps"] = "gaps"
    gaps: tuple[Gap, ...]


Output = Labels | Steps | Beams | Gaps
OUTPUTS = {"labels": Labels, "steps": Steps, "beams": Beams, "gaps": Gaps}
