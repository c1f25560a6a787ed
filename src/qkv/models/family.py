"""What a family is: a configuration, a net, its published sizes, its attention maps, its public weight formats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qkv.weights.rules import Rule


class MapSpec(NamedTuple):
    """One call of a seat in a forward pass: whose queries look at whose keys.

    heads: how many maps the call makes. steps: True when the call comes once per target step (a recurrent decoder)
    and its rows are to be laid under each other.
    """

    layer: int
    kind: Literal["self", "cross"]
    query_stream: str
    key_stream: str
    heads: int
    steps: bool = False


@dataclass(frozen=True, kw_only=True)
class Format:
    """One public weight format of a family: how its configuration and its tensors map to ours and back."""

    names: tuple[str, ...]
    read_config: Callable[[Mapping[str, Any]], Any]
    write_config: Callable[[Any], dict[str, Any]]
    rules: Callable[[Any], Sequence[Rule]]
    aliases: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Everything the rest of qkv knows about a family."""

    name: str
    config: type
    net: Callable[[Any], nn.Module]
    sizes: Mapping[str, Any]
    maps: Callable[[Any], tuple[MapSpec, ...]]
    formats: Mapping[str, Format] = field(default_factory=dict)


class Decoding(Protocol):
    """The state of an unfinished decode: what was read of the sources and what was written so far."""

    def pick(self, rows: Int[Tensor, "n"], sources: Int[Tensor, "k"] | None = None) -> "Decoding":
        """Return the state of the chosen rows, with `sources` of those sources only; the old state is used up.

        Rows stay in the order of their sources, equally many for each.
        """
        ...


class EncoderDecoder(Protocol):
    """What every net offers that turns one sequence into another; generation and tasks need nothing else."""

    cfg: Any

    def forward(
        self, source: Int[Tensor, "b s"], target: Int[Tensor, "b t"], source_mask: Bool[Tensor, "b s"]
    ) -> Float[Tensor, "b t v"]:
        """Return the logits of the token after each prefix of `target` (teacher forcing)."""
        ...

    def start(self, source: Int[Tensor, "b s"], source_mask: Bool[Tensor, "b s"], *, beams: int, room: int) -> Decoding:
        """Read the sources once; return the state for `beams` hypotheses of each, of up to `room` tokens."""
        ...

    def step(self, ids: Int[Tensor, "n"], state: Decoding) -> Float[Tensor, "n v"]:
        """Append one token to each row of `state`, in place; return the logits of the next."""
        ...
