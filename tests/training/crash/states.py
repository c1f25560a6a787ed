"""Small training states, and their comparison bit for bit."""

import json

import torch

from qkv.training.checkpoint import TrainingState, pack_optimiser


def make_state(step: int, width: int = 8) -> TrainingState:
    """Return the state of a tied net after a few real steps of fused AdamW, as a loop would save it."""
    torch.manual_seed(step)
    net = torch.nn.Sequential(torch.nn.Embedding(16, width), torch.nn.Linear(width, 16, bias=False))
    net[1].weight = net[0].weight
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1 / 3, betas=(0.9, 0.98), eps=1e-9, fused=True)
    for _ in range(2):
        net(torch.arange(16)).square().mean().backward()
        optimiser.step()
    tensors, packed = pack_optimiser(optimiser)
    groups = {"net": dict(net.state_dict()), "optimiser": tensors, "ema": {"mean": torch.randn(16, width)}}
    return TrainingState(step, groups, {"optimiser": packed, "cursor": [0, step], "loss": 0.1 * step})


def equal(a: TrainingState, b: TrainingState) -> bool:
    """Tell whether two states are the same to the last bit."""
    if (a.step, json.dumps(a.facts), a.tensors.keys()) != (b.step, json.dumps(b.facts), b.tensors.keys()):
        return False
    return all(
        a.tensors[group].keys() == b.tensors[group].keys()
        and all(same_bits(a.tensors[group][name], b.tensors[group][name]) for name in a.tensors[group])
        for group in a.tensors
    )


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Tell whether two tensors are equal to the bit: NaNs, signs of zero, dtype and shape."""
    raw = [one.detach().contiguous().flatten().view(torch.uint8) for one in (a, b)]
    return (a.dtype, a.shape) == (b.dtype, b.shape) and torch.equal(*raw)
