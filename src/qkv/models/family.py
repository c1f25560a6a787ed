"""What a family is: a configuration, a net, its published sizes, its attention maps, its public weight formats."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.weights.rules import Rule


class MapSpec(NamedTuple):
    """One call of a seat in a forward pass: whose queries look at whose keys.

    heads: how many maps the call makes; kv_heads: how many share their keys, if fewer. steps: True when the call comes
    once per target step (a recurrent decoder) and its rows are to be laid under each other. grid: rows and columns of
    patches, of a picture as large as the configuration says. window: rows and columns of the rectangles that see only
    themselves, moved by `shift` down and right (`ops.windows`); the seat is then called with one window as one row of
    the batch, those of a picture one after the other.
    """

    layer: int
    kind: Literal["self", "cross"]
    query_stream: str
    key_stream: str
    heads: int
    steps: bool = False
    kv_heads: int | None = None
    grid: tuple[int, int] | None = None
    window: tuple[int, int] | None = None
    shift: tuple[int, int] = (0, 0)


class Published(NamedTuple):
    """The number of parameters that the world knows a size by, who said so, and why ours differs, if it does."""

    parameters: float
    source: str
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Format:
    """One public weight format of a family: how its configuration and its tensors map to ours and back.

    names: what their config.json says under `key`. fit: the configuration whose net holds just the tensors of a file,
    given their names: a file may have another head than its config.json tells. aliases: names that older files have.
    write_generation: how the reference must decode to write what qkv writes.
    """

    names: tuple[str, ...]
    read_config: Callable[[Mapping[str, Any]], Any]
    write_config: Callable[[Any], dict[str, Any]]
    rules: Callable[[Any], Sequence[Rule]]
    key: str = "model_type"
    fit: Callable[[Any, Collection[str]], Any] = lambda cfg, names: cfg
    aliases: Callable[[Any], Mapping[str, str | None]] = lambda cfg: {}
    write_generation: Callable[[Any], dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """Everything the rest of qkv knows about a family.

    published: of those sizes that a paper or a model card gives a number for.
    """

    name: str
    config: type
    net: Callable[[Any], Any]
    sizes: Mapping[str, Any]
    maps: Callable[[Any], tuple[MapSpec, ...]]
    formats: Mapping[str, Format] = field(default_factory=dict)
    published: Mapping[str, Published] = field(default_factory=dict)


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

    def begin(self, ids: Tensor, mask: Tensor, *, beams: int, room: int) -> tuple[Float[Tensor, "n v"], Any]:
        """Read the sources; return the logits of the first token of each hypothesis, and the state behind them."""
        state = self.start(ids, mask, beams=beams, room=room)
        return self.step(ids.new_full((ids.size(0) * beams,), self.cfg.start_id), state), state


class Decoder(nn.Module):
    """What every net offers that goes on with a text.

    forward(ids (b, t), mask (b, t) or None): the logits (b, t, v) of the token after each; with keep (b, t), those of
    the marked places alone, (n, v); with another head than the token table, what that head says. mask: True for real
    tokens; padding may lie on either side.
    begin(ids, mask, beams=, room=): reads prompts, padded on the left; returns the logits (b * beams, v) of the next
    token and a Decoding of `beams` hypotheses of each, of up to `room` tokens more.
    step(ids (n), state): appends a token to each row of a Decoding, in place; the logits (n, v) of the next.
    """

    cfg: Any
    begin: Callable[..., tuple[Tensor, Any]]
    step: Callable[[Tensor, Any], Tensor]


class Encoder(nn.Module):
    """What every net offers that reads a text from both sides.

    encode(ids (b, t), mask (b, t) or None, segments (b, t) or None): the states (b, t, m). mask: True for real tokens;
    padding may lie on either side and changes nothing.
    forward(the same; keep (b, t)): what the head says of them: token logits (b, t, v), or (n, v) of the places that
    `keep` marks; label logits (b, k) of texts or (b, t, k) of tokens; without a head, the states.
    """

    cfg: Any
    encode: Callable[..., Tensor]


class PictureNet(nn.Module):
    """What every net offers that looks at pictures.

    encode(pictures (b, c, y, x)): the states (b, t, m), tokens that stand for the whole picture first.
    summary(states): one vector (b, m) per picture.
    forward(pictures): label logits (b, k); without a head, the states.
    """

    cfg: Any
    encode: Callable[[Tensor], Tensor]
    summary: Callable[[Tensor], Tensor]
