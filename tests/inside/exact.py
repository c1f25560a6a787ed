"""What looks are held to: the weights of every map by the exact form of attention; and prompts of unequal length."""

from typing import Any

import torch
from torch import Tensor

from models.tiny import Texts, sentences
from qkv.inside.seats import find_seats, hooked
from qkv.nn.scores import Weigh
from qkv.ops.attend import attend_weights


def exact(net: Any, batch: Any) -> dict[Any, Tensor]:
    """Run the net and return the weights of every map, by the exact form of attention at each call of a seat."""
    found: dict[Any, list[Tensor]] = {}

    def listen(seat: Any) -> Any:
        def hear(module: Any, inputs: Any, output: Any) -> None:
            if isinstance(module, Weigh):
                weights = output[1][:, None]
            else:
                q, k, v, where = inputs
                how = {"mask": where.mask, "bias": where.bias, "causal": where.causal, "scale": module.scale}
                weights = attend_weights(q, k, v, **how)[1]
            found.setdefault(seat.spec, []).append(weights.detach())

        return hear

    with hooked(net, {seat: listen(seat) for seat in find_seats(net)}):
        net(*batch)
    return {spec: torch.cat(parts, 2) for spec, parts in found.items()}


def prompts(small: Any) -> Texts:
    """Three prompts of different lengths, padded on the left."""
    batch = sentences(small.cfg, (5, 3, 7))
    return Texts(batch.source.flip(1), batch.source_mask.flip(1))
