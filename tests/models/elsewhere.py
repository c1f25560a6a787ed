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

from models.away import Away, Elsewhere, send, send_net
from models.tiny import SMALL, Sentences, batch_for, difference, make, outputs

N_STEPS = 3


def answers(net: Any, batch: Any) -> list[Tensor]:
    """Return all that a net says of a batch, and the gradient of each parameter."""
    found = outputs(net, batch)
    total = sum(out.sin().log_softmax(-1)[..., 0].sum() for out in found)
    return [*found, *torch.autograd.grad(total, list(net.parameters()))]  # type: ignore[arg-type]


def writes(net: Any) -> bool:
    """Tell whether a net goes on with texts, or answers them."""
    return hasattr(net, "step") and getattr(net.cfg, "head", "lm") == "lm"


def begin(net: Any, batch: Any) -> tuple[Tensor, Any]:
    """Read sources, or prompts padded on the left."""
    ids, mask = (batch.source, batch.source_mask) if isinstance(batch, Sentences) else (x.flip(1) for x in batch)
    return net.begin(ids, mask, beams=2, room=2 * N_STEPS + 1)  # the first may be a start token


def steps(net: Any, state: Any, ids: Tensor) -> list[Tensor]:
    """Append the columns of ids, and return what is said after each."""
    return [net.step(column, state) for column in ids.unbind(1)]


@torch.no_grad()
def decode(net: Any, batch: Any, first: Tensor, then: Tensor) -> list[Tensor]:
    """Write some tokens, pick rows, write some more."""
    logits, state = begin(net, batch)
    logits = [logits, *steps(net, state, first)]
    rows = torch.tensor([1, 1, 3, 2, 5, 5])
    state = state.pick(rows if first.is_cpu else send(rows))
    return [*logits, *steps(net, state, then)]


def compare(small: Any) -> dict[str, Any]:
    """Return the largest difference of what a net says, learns and writes, and what a step waits for."""
    torch.manual_seed(0)
    net, batch = make(small), batch_for(small)
    ids = torch.randint(4, 27, (6, 2 * N_STEPS)).split(N_STEPS, 1)
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
