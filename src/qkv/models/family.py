"""What a family is: a configuration, a net, its published sizes, its attention maps, its public weight formats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Int
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
    """One public weight format of a family: how its configuration and its tensors map to ours and back.

    write_generation: how the reference must decode to write what qkv writes.
    """

    names: tuple[str, ...]
    read_config: Callable[[Mapping[str, Any]], Any]
    write_config: Callable[[Any], dict[str, Any]]
    rules: Callable[[Any], Sequence[Rule]]
    write_generation: Callable[[Any], dict[str, Any]]
    aliases: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Everything the rest of qkv knows about a family."""

    name: str
    config: type
    net: Callable[[Any], Any]
    sizes: Mapping[str, Any]
    maps: Callable[[Any], tuple[MapSpec, ...]]
    formats: Mapping[str, Format] = field(default_factory=dict)


@runtime_checkable
class Decoding(Protocol):
    """The state of an unfinished decode: what was read of the sources and what was written so far."""

    def pick(self, rows: Int[Tensor, "n"], sources: Int[Tensor, "k"] | None = None) -> "Decoding":
        """Return the state of the chosen rows, with `sources` of those sources only; the old state is used up.

        Rows stay in the order of their sources, equally many for each.
        """
        ...


class EncoderDecoder(nn.Module):
    """What every net offers that turns one sequence into another; generation and tasks need nothing else.

    forward(source (b, s), target (b, t), source_mask (b, s)): the logits (b, t, v) after each prefix of `target`; with
    keep (b, t), those of the marked prefixes alone, (n, v).
    start(source, source_mask, beams=, room=): reads the sources once, and returns the Decoding of `beams` hypotheses
    of each, of up to `room` tokens.
    step(ids (n), state): appends a token to each row of a Decoding, in place; the logits (n, v) of the next.
    """

    cfg: Any
    start: Callable[..., Any]
    step: Callable[[Tensor, Any], Tensor]
