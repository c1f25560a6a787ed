"""Run every small net on a pretended GPU, and tell how far it is from itself on the CPU and where a GPU is waited for.

    PYTHONPATH=tests .venv/bin/python tests/models/elsewhere.py

A script of its own, because a device is pretended for a whole process.
"""

import json
import sys
from collections import Counter
from typing import Any

import torch
from torch import Tensor

from models.acts import answers, begin, decode, steps, words, writes
from models.away import Away, Elsewhere, send, send_net
from models.tiny import SMALL, batch_for, difference, make


def compare(small: Any) -> dict[str, Any]:
    """Return the largest difference of what a net says, learns and writes, and what a step waits for."""
    torch.manual_seed(0)
    net, batch, ids = make(small), batch_for(small), words()
    wanted = answers(net, batch) + (decode(net, batch, *ids) if writes(net) else [])
    send_net(net)
    with Elsewhere():
        found = answers(net, send(batch))
        if writes(net):
            found += decode(net, send(batch), *send(ids))
    there = [x.here for x in found if isinstance(x, Away)]
    if len(there) < len(found):
        raise SystemExit("What a net elsewhere says is not elsewhere.")
    return {
        "difference": max(difference(a, b) for a, b in zip(there, wanted, strict=True)),
        "writes": writes(net),
        "waits": waits_of_a_step(net, send(batch), send(ids[0][:, :1])) if writes(net) else {},
    }


@torch.no_grad()
def waits_of_a_step(net: Any, batch: Any, ids: Tensor) -> dict[str, int]:
    """Return how often the code waits for a GPU while one token is appended, by operation."""
    with Elsewhere() as there:
        _, state = begin(net, batch)
        there.waits.clear()
        steps(net, state, ids)
    return dict(Counter(there.waits))


def plant() -> str:
    """A planted fault: leave one table of a net on the CPU, and return what is said about it."""
    small = SMALL["swin-tiny-patch4-window7-224"]
    net, batch = make(small), batch_for(small)
    table = net.stages[0].shifted.apart
    send_net(net)
    net.stages[0].shifted.apart = table
    try:
        with Elsewhere():
            net(*send(batch))
    except RuntimeError as error:
        return str(error)
    return "nothing was said"


if __name__ == "__main__":
    found = {name: compare(small) for name, small in SMALL.items()}
    sys.stdout.write(json.dumps({"nets": found, "planted": plant()}))
