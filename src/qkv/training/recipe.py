"""How a net is trained: every number that decides the result, in one place that can be saved and read back."""

import math
from dataclasses import dataclass
from typing import Literal

from qkv.base.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The settings of one training.

    budget: tokens of one micro-batch, padding counted, of the longer side; of pictures, how many. accumulate:
    micro-batches per step. lr: the highest learning rate. schedule: what follows the linear warm-up; "paper" is Vaswani
    et al. 2017, eq. 3, whose highest rate is (d_model * warmup) ** -0.5 whatever lr says. clip: largest norm of the
    gradient, 0 for none.
    ema: decay of averaged weights, 0 for none. patience: validations without a better figure before the training ends,
    0 for no end. keep: checkpoints that stay. dtype: "bf16" computes products in bfloat16, weights stay in fp32.
    workers: processes that prepare batches.
    """

    steps: int = 1000
    budget: int = 4096
    accumulate: int = 1
    lr: float = 1e-3
    warmup: int = 100
    schedule: Literal["cosine", "inverse-sqrt", "constant", "paper"] = "cosine"
    beta1: float = 0.9
    beta2: float = 0.98
    adam_eps: float = 1e-9
    weight_decay: float = 0.0
    clip: float = 1.0
    smoothing: float = 0.1
    ema: float = 0.0
    patience: int = 0
    validate_every: int = 500
    checkpoint_every: int = 500
    keep: int = 2
    log_every: int = 10
    dtype: Literal["fp32", "bf16"] = "fp32"
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("steps", "budget", "accumulate", "warmup", "validate_every", "checkpoint_every", "log_every")
        for name in positive:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.keep < 2:
            raise ConfigError(f"keep is {self.keep}; at least 2 checkpoints are kept, in case one is damaged.")
        for name in ("smoothing", "ema", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be in [0, 1).")
        for name in ("weight_decay", "clip", "patience", "workers"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 0 or above.")
        for name in ("lr", "adam_eps"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be above 0.")
