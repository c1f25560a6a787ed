"""Randomness that depends on names, not on history: any step of any run can be drawn again by itself."""

import hashlib
import random

import torch

Part = int | str


def mix(*parts: Part) -> int:
    """Hash the parts to a number in [0, 2**63), the same on every machine and in every version of Python."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def draw(*parts: Part) -> random.Random:
    """Return Python's generator seeded by the parts: for orders and synthetic data."""
    return random.Random(mix(*parts))


def generator(*parts: Part) -> torch.Generator:
    """Return a CPU generator of torch seeded by the parts: for initial weights and sampling."""
    return torch.Generator().manual_seed(mix(*parts))


def plant(seed: int, step: int, micro: int = 0, rank: int = 0) -> None:
    """Seed torch before one micro-batch, so that a resumed run draws the same dropout as an unbroken one."""
    torch.manual_seed(mix("plant", seed, step, micro, rank))
