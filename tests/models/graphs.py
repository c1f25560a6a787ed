"""Count the graphs that torch.compile makes of each small net, and how far compiled results are from eager ones.

    PYTHONPATH=tests .venv/bin/python tests/models/graphs.py

A script of its own, because the shape checker that runs in the tests raises false errors under Dynamo. Its back end
needs no C++ compiler.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from models.tiny import SMALL, Small, batch_for, difference, make
from qkv.models.decoding import TextDecoder, _make_room
from qkv.models.family import EncoderDecoder
from qkv.nn.block import Block
from qkv.nn.where import Where
from qkv.ops.masks import keys_mask, reach_mask

ROOM = 5
DEEP = {"n_layers": 3, "n_decoder_layers": 3, "depths": (4, 3)}  # more blocks than kinds of them


class Numbered(nn.Module):
    """A planted fault: a block that reads its own number, so that each layer makes a graph of its own."""

    def __init__(self, block: Block, number: int) -> None:
        super().__init__()
        self.block, self.number = block, number

    def forward(self, *arguments: Any) -> Tensor:
        return self.block(*arguments) * (1 + self.number)


def deepen(small: Small) -> Small:
    """Return a net with several blocks of each kind: were each a graph of its own, they would be counted."""
    depths = {name: depth for name, depth in DEEP.items() if getattr(small.cfg, name, None) is not None}
    return Small(small.family, replace(small.cfg, **depths))


def parts(small: Small) -> str:
    """Spell what is compiled: nets that differ only outside their encoder and decoder need no second count."""
    net: Any = make(small)
    bodies = [getattr(net, name) for name in ("encoder", "decoder", "stack", "stages") if hasattr(net, name)]
    modules = [module for body in bodies for module in body.modules()]
    return repr([(type(m), {k: v for k, v in vars(m).items() if not k.startswith("_")}) for m in modules])


def count(small: Small, *, numbered: bool = False) -> dict[str, float]:
    """Return how many graphs one pass makes, how many more a cached decode, and the differences from eager runs."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    net: Any = make(small)
    batch = batch_for(small)
    if numbered:
        net.encoder.blocks = nn.ModuleList(Numbered(block, i) for i, block in enumerate(net.encoder.blocks))
    run = way_to_decode(net)
    eager = net(*batch), run(net, batch)
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    blocks = [module for module in net.modules() if isinstance(module, Numbered if numbered else Block)]
    for part in blocks or (net.encoder, net.decoder):
        part.compile(backend=backend, fullgraph=True)
    whole, n_pass = net(*batch), len(graphs)
    steps = run(net, batch)
    return {
        "pass": n_pass,
        "cached": len(graphs) - n_pass,
        "difference": max(difference(whole, eager[0]), difference(steps, eager[1])),
    }


def way_to_decode(net: Any) -> Callable[[Any, Any], Tensor]:
    """Return how a net decodes with a cache; a net without one makes no graphs for it."""
    if isinstance(net, TextDecoder):
        return write
    if not isinstance(net, EncoderDecoder):
        return lambda net, batch: torch.zeros(1)
    return decode if hasattr(net.decoder, "blocks") else step


def decode(net: Any, batch: Any) -> Tensor:
    """Decode with masks as long as the whole cache: no shape changes from step to step."""
    state, out = net.start(batch.source, batch.source_mask, beams=1, room=ROOM), []
    for at in torch.arange(ROOM)[:, None]:
        x = net._embed(net._target_table(), batch.target[:, at], at[None])
        memory_where = Where(mask=keys_mask(batch.source_mask))
        out.append(net.decoder(x, Where(mask=reach_mask(at, ROOM), at=at), None, memory_where, state.caches))
    return torch.cat(out, 1)


def write(net: Any, batch: Any) -> Tensor:
    """Write a text from its first token on, as `decode` does."""
    caches = [_make_room(block, net.token(batch.ids), ROOM) for block in net.stack]
    out = []
    for at in torch.arange(ROOM)[:, None]:
        x = net.embed(batch.ids[:, at], at[None])
        out.append(net._run(x, at[None], Where(mask=reach_mask(at, ROOM), at=at), caches))
    return torch.cat(out, 1)


def step(net: Any, batch: Any) -> Tensor:
    """Decode step by step, as search does."""
    state = net.start(batch.source, batch.source_mask, beams=1, room=ROOM)
    return torch.stack([net.step(ids, state) for ids in batch.target[:, :ROOM].unbind(1)], 1)


if __name__ == "__main__":
    different = {parts(small): name for name, small in SMALL.items()}
    with torch.inference_mode():
        counts = {name: count(deepen(SMALL[name])) for name in different.values()}
        counts["planted"] = count(SMALL["transformer-tiny"], numbered=True)
    sys.stdout.write(json.dumps(counts))
