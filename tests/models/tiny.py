"""Small nets of every family: all published sizes with tiny widths, and each option of a family's configuration.

Widths go by the field's name, so that a new family is covered without a line here.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from qkv.models import FAMILIES, get_family
from qkv.models.family import Family

WIDTHS = {
    "vocab_size": 30,
    "target_vocab_size": 27,
    "d_model": 16,
    "d_ff": 24,
    "n_layers": 2,
    "n_decoder_layers": 2,
    "n_heads": 4,
    "d_embed": 6,
    "d_encoder": 4,
    "d_decoder": 8,
    "d_attention": 5,
    "d_readout": 7,
    "max_len": 24,
    "dropout": 0.0,
}


class Small(NamedTuple):
    """A family and one of its configurations made small."""

    family: Family
    cfg: Any


def shrink(cfg: Any, **changes: Any) -> Any:
    """Return a configuration with tiny widths; options that are None stay so."""
    return dataclasses.replace(cfg, **{k: v for k, v in WIDTHS.items() if getattr(cfg, k, None) is not None} | changes)


def small_configs() -> dict[str, Small]:
    """Name every size of every family, and every other value of each option of the family's first size."""
    found: dict[str, Small] = {}
    for family in map(get_family, FAMILIES):
        for size, cfg in family.sizes.items():
            found[size] = Small(family, shrink(cfg))
        first = shrink(next(iter(family.sizes.values())))
        for name, value in _other_values(family.config, first):
            found[f"{family.name} {name}={value}"] = Small(family, dataclasses.replace(first, **{name: value}))
    return found


def _other_values(config: type, cfg: Any) -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(config).items():
        choices = get_args(hint) if get_origin(hint) is Literal else (False, True) if hint is bool else ()
        yield from ((name, value) for value in choices if value != getattr(cfg, name))


def make(small: Small, *, std: float = 0.3, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """Build a net in eval mode, all its parameters drawn from N(0, std): norms and biases tell faults then, too."""
    net = small.family.net(dataclasses.replace(small.cfg, **changes)).to(dtype)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=std)
    return net.eval()


def make_lively(small: Small, **changes: Any) -> Any:
    """Build a net whose outputs differ from source to source: with drawn norms a post-norm stack forgets its source."""
    transformer = small.family.name == "transformer"
    changes = {"std": 0.3, "tie": "none"} | changes if transformer else {"std": 0.7} | changes
    net = make(small, **changes)
    for module in net.modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
    return net


class Sentences(NamedTuple):
    """Random ids as a net reads them."""

    source: Tensor
    target: Tensor
    source_mask: Tensor


def sentences(cfg: Any, lengths: tuple[int, ...] = (5, 3, 7), n_target: int = 6) -> Sentences:
    """Return sources of these lengths, padded on the right with random ids that no net may read, and targets."""
    shape = (len(lengths), max(lengths))
    mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
    n_words = getattr(cfg, "target_vocab_size", None) or cfg.vocab_size
    return Sentences(torch.randint(4, cfg.vocab_size, shape), torch.randint(4, n_words, (shape[0], n_target)), mask)


def difference(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, as a share of max(1, the largest value)."""
    return ((a - b).abs().max() / max(1.0, b.abs().max().item())).item()


SMALL = small_configs()
