"""Small nets of every family: all published sizes with tiny widths, and each option of a family's configuration.

Widths go by the field's name, so that a new family is covered without a line here.
"""

import dataclasses
import types
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from qkv.models import FAMILIES, get_family
from qkv.models.family import EncoderDecoder, Family, PictureNet

WIDTHS = {
    "vocab_size": 30,
    "target_vocab_size": 27,
    "d_model": 16,
    "d_ff": 24,
    "n_layers": 2,
    "n_decoder_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "n_buckets": 8,
    "d_embed": 6,
    "d_encoder": 4,
    "d_decoder": 8,
    "d_attention": 5,
    "d_readout": 7,
    "max_len": 24,
    "picture_size": (24, 20),
    "patch": 4,
    "depths": (2, 2),
    "heads": (2, 4),
    "window": 3,
    "n_labels": 5,
    "dropout": 0.0,
    "dropout_attention": 0.0,
    "dropout_embed": 0.0,
    "dropout_head": 0.0,
    "dropout_path": 0.0,
}


class Small(NamedTuple):
    """A family and one of its configurations made small."""

    family: Family
    cfg: Any


def shrink(cfg: Any, **changes: Any) -> Any:
    """Return a configuration with tiny widths; options that are None stay so."""
    return dataclasses.replace(cfg, **{k: v for k, v in WIDTHS.items() if getattr(cfg, k, None) is not None} | changes)


def small_configs() -> dict[str, Small]:
    """Name every size of every family, and every other value of each option of the family's first size.

    Sizes that are one net when made small appear once.
    """
    found: dict[str, Small] = {}
    for family in map(get_family, FAMILIES):
        for size, cfg in family.sizes.items():
            if (small := Small(family, shrink(cfg))) not in found.values():
                found[size] = small
        first = shrink(next(iter(family.sizes.values())))
        for name, value in _other_values(family.config, first):
            found[f"{family.name} {name}={value}"] = Small(family, dataclasses.replace(first, **{name: value}))
    return found


def _other_values(config: type, cfg: Any) -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(config).items():
        hints = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        literals = [value for one in hints if get_origin(one) is Literal for value in get_args(one)]
        choices = (False, True) if hint is bool else literals
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


class Texts(NamedTuple):
    """Random ids as a net of texts reads them."""

    ids: Tensor
    mask: Tensor


class Pictures(NamedTuple):
    """Random pictures."""

    pictures: Tensor


def batch_for(small: Small) -> Sentences | Texts | Pictures:
    """Return three random inputs of the kind that a net reads."""
    if issubclass(small.family.net, EncoderDecoder):  # type: ignore[arg-type]
        return sentences(small.cfg)
    if issubclass(small.family.net, PictureNet):  # type: ignore[arg-type]
        return Pictures(torch.rand(3, small.cfg.n_channels, *small.cfg.picture_size))
    batch = sentences(small.cfg)
    return Texts(batch.source, batch.source_mask)


def n_tokens(small: Small, batch: Any) -> dict[str, int]:
    """Return the number of tokens of each stream."""
    if isinstance(batch, Sentences):
        return {"source": batch.source.size(1), "target": batch.target.size(1)}
    if isinstance(batch, Texts):
        return {"text": batch.ids.size(1)}
    return {"picture": make(small).encode(batch.pictures).size(1)}


def outputs(net: Any, batch: Any) -> list[Tensor]:
    """Return all that a net can say of a batch: every parameter has a part in it."""
    out = [net(*batch)]
    if hasattr(net, "summary"):
        states = net.encode(*batch)
        rest = batch[1:] if isinstance(batch, Texts) else ()
        out.append(net.summary(states, *rest))
        if hasattr(net, "follows"):
            out.append(net.next_sentence(states, *rest))
    return out


def difference(a: Tensor, b: Tensor) -> float:
    """Return the largest difference, as a share of max(1, the largest value)."""
    return ((a - b).abs().max() / max(1.0, b.abs().max().item())).item()


SMALL = small_configs()
