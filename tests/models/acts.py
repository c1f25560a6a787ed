"""What a net does: it says, it learns, it writes."""

from typing import Any

import torch
from torch import Tensor

from models.tiny import Sentences, outputs

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


def words() -> tuple[Tensor, Tensor]:
    """Return the tokens that `decode` appends, before and after rows are picked."""
    first, then = torch.randint(4, 27, (6, 2 * N_STEPS)).split(N_STEPS, 1)
    return first, then


@torch.no_grad()
def decode(net: Any, batch: Any, first: Tensor, then: Tensor) -> list[Tensor]:
    """Write some tokens, pick rows, write some more."""
    logits, state = begin(net, batch)
    logits = [logits, *steps(net, state, first)]
    state = state.pick(torch.tensor([1, 1, 3, 2, 5, 5]).to(first.device))
    return [*logits, *steps(net, state, then)]
