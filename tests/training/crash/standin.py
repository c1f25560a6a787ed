"""A small training to be killed: a real optimiser, dropout, averaged weights, a log, checkpoints every other step."""

from pathlib import Path

import torch

from qkv.base import seeds
from qkv.training import checkpoint
from qkv.training.checkpoint import TrainingState, pack_optimiser, unpack_optimiser
from qkv.training.log import Log
from qkv.training.signals import Stopped, graceful

WIDTH = 256


def train(run: Path, steps: int, writer=checkpoint) -> None:
    """Go on from the newest checkpoint to the last step."""
    torch.set_num_threads(1)
    run.mkdir(exist_ok=True)
    seeds.plant(0, 0)
    net = torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.Dropout(0.1), torch.nn.Linear(WIDTH, WIDTH))
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)
    mean, begin = [p.detach().clone() for p in net.parameters()], 0
    log = Log(run / "metrics.jsonl")
    found, _ = writer.load_newest(run)
    if found:
        begin = found.step
        net.load_state_dict(found.tensors["net"])
        unpack_optimiser(optimiser, found.tensors["optimiser"], found.facts["optimiser"])
        mean = [found.tensors["ema"][str(i)].clone() for i in range(len(mean))]
    log.cut_after(begin)
    with graceful() as stop:
        for step in range(begin + 1, steps + 1):
            seeds.plant(0, step)
            loss = net(torch.randn(32, WIDTH)).square().mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            for average, p in zip(mean, net.parameters(), strict=True):
                average.lerp_(p.detach(), 0.1)
            log.add({"step": step, "loss": loss.item()})
            if step % 2 == 0 or step == steps or stop.requested:
                tensors, packed = pack_optimiser(optimiser)
                averages = {str(i): one for i, one in enumerate(mean)}
                groups = {"net": dict(net.state_dict()), "optimiser": tensors, "ema": averages}
                writer.save(run, TrainingState(step, groups, {"optimiser": packed}))
            if stop.requested:
                raise Stopped(f"stopped after step {step}")
