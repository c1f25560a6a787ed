"""Attention rollout: how much of each token reaches a token of the last layer, if attention alone carried it.

Abnar and Zuidema 2020, section 3 (https://arxiv.org/abs/2005.00928). Their matrix of all tokens is never made: one of
its rows is a vector that passes the layers from the last to the first.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.inside.look import Seen
from qkv.models.family import MapSpec
from qkv.ops.facts import received


def rollout(
    seen: Seen,
    row: int | Sequence[int],
    *,
    residual: float = 0.5,
    head: int | None = None,
    stream: str | None = None,
    rows: Sequence[int] | None = None,
) -> Float[Tensor, "b *n s"]:
    """Return how much of each token reaches `row` in the last layer; of several rows, one under the other.

    residual: the share of a layer's output that passes beside its attention. head: this one alone, by its number in the
    net; else the mean of those that were watched. stream: of which stack, where there are two, "target" unless given;
    what a target has from its source is left out. rows: of a decode with several hypotheses, whose: `Hypothesis.rows`.
    For a net that reads the mean of its tokens, take all rows, and their mean. Raises UnsupportedError for windows,
    whose layers do not share one set of tokens.
    """
    specs = stack_of(seen.maps, stream)
    calls = [seen.call(spec.layer, "self", spec.query_stream, rows=rows) for spec in specs]
    r = one_hot(row, *calls[-1].shape[::2]).to(calls[-1].device)
    for spec, call in zip(reversed(specs), reversed(calls), strict=True):
        if call.n_queries != call.n_keys:
            raise ShapeError(
                f"Layer {spec.layer} was seen with {call.n_queries} queries and {call.n_keys} keys: rollout wants all "
                "tokens of a text, its prompt too."
            )
        if head is None:
            mixed = received(call, r.mT).mean(1)
        else:
            mixed = seen.received(spec.layer, "self", spec.query_stream, r=r.mT, head=head, rows=rows)
        r = residual * r + (1 - residual) * mixed.mT
    return r[:, 0] if isinstance(row, int) else r


def stack_of(maps: Sequence[MapSpec], stream: str | None) -> list[MapSpec]:
    """Return the self-attention of one stream, from the first layer to the last."""
    streams = dict.fromkeys(spec.query_stream for spec in maps if spec.kind == "self")
    stream = stream or (next(iter(streams)) if len(streams) == 1 else "target")
    specs = [spec for spec in maps if (spec.kind, spec.query_stream) == ("self", stream)]
    if not specs:
        raise ConfigError(f'No self-attention of "{stream}" is in this net; there is: {", ".join(streams) or "none"}.')
    if any(spec.window for spec in specs):
        raise UnsupportedError(
            "Layers of windows do not share one set of tokens, so nothing rolls through them: look at each layer alone."
        )
    return specs


def one_hot(row: int | Sequence[int], n_batch: int, n_tokens: int) -> Float[Tensor, "b n t"]:
    """Return a one for each row to start from; negative rows count from the end."""
    rows = [row] if isinstance(row, int) else list(row)
    if wrong := [i for i in rows if not -n_tokens <= i < n_tokens]:
        raise ConfigError(f"There is no row {wrong[0]}: this input has {n_tokens} tokens.")
    return F.one_hot(torch.tensor(rows) % n_tokens, n_tokens).float().expand(n_batch, -1, -1)
