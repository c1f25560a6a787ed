"""Losses as sums with their counts, so that batches of unequal size can be added without error."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def token_loss(
    logits: Float[Tensor, "*b v"],
    targets: Int[Tensor, "*b"],
    mask: Bool[Tensor, "*b"] | None = None,
    smoothing: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the summed cross-entropy with label smoothing, and the summed plain one (for perplexity), in nats.

    Padding (mask False) counts nothing; sums are in fp32 at least. Smoothing mixes the target with the uniform
    distribution over the vocabulary: Szegedy et al. 2016, section 7 (https://arxiv.org/abs/1512.00567).
    """
    if mask is not None:
        logits, targets = logits[mask], targets[mask]
    log_p = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    plain = F.nll_loss(log_p.flatten(0, -2), targets.flatten(), reduction="sum")
    if smoothing == 0.0:
        return plain, plain.detach()
    uniform = -log_p.mean(-1).sum()
    return (1 - smoothing) * plain + smoothing * uniform, plain.detach()
