"""The optimiser and its learning rate over time."""

import math

import torch
from torch import nn

from qkv.base.errors import ConfigError
from qkv.training.recipe import Recipe


def make_optimiser(net: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return fused AdamW over what is trained; weight decay falls on matrices alone, not on biases and norms."""
    trained = [p for p in net.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.dim() > 1]
    plain = [p for p in trained if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    betas = (recipe.beta1, recipe.beta2)
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=recipe.adam_eps, fused=True)


def learning_rate(recipe: Recipe, step: int, d_model: int | None = None) -> float:
    """Return the learning rate of a step (the first is 1): a linear warm-up, then the recipe's schedule.

    paper: d_model^-0.5 min(step^-0.5, step warmup^-1.5), Vaswani et al. 2017, eq. 3. inverse-sqrt: the same shape from
    lr. cosine: to a hundredth of lr at the last step.
    """
    peak = recipe.lr
    if recipe.schedule == "paper":
        if d_model is None:
            raise ConfigError('schedule "paper" is made for nets with a d_model; use "inverse-sqrt" with an lr.')
        peak = (d_model * recipe.warmup) ** -0.5
    if step < recipe.warmup:
        return peak * step / recipe.warmup
    if recipe.schedule == "constant":
        return peak
    if recipe.schedule == "cosine":
        done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
        return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
    return peak * math.sqrt(recipe.warmup / step)
