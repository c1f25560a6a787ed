"""Texts side by side as an encoder reads them: in batches of bounded size, and without padding where it can."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.inside.seats import is_touched
from qkv.nn.ragged import encode_ragged
from qkv.text.public import Encoding

PLACES = 8192  # of a batch, padding counted: what a pass keeps at once grows with them


class Batch(NamedTuple):
    """Texts padded on the right; mask: True for real tokens."""

    ids: Int[Tensor, "b t"]
    mask: Bool[Tensor, "b t"]
    segments: Int[Tensor, "b t"]


def batches(encoded: Sequence[Encoding], pad_id: int) -> Iterator[Batch]:
    """Lay texts side by side as they come, as many as `PLACES` hold, and one at least."""
    part: list[Encoding] = []
    longest = 0
    for one in encoded:
        if part and (len(part) + 1) * max(longest, len(one.ids)) > PLACES:
            yield _pad(part, pad_id)
            part, longest = [], 0
        part.append(one)
        longest = max(longest, len(one.ids))
    if part:
        yield _pad(part, pad_id)


def encode(net: Any, batch: Batch) -> Float[Tensor, "b t m"]:
    """Return the states that `net.encode` returns of real tokens, to fp rounding."""
    return encode_ragged(net, *batch) if _pays(net, batch) else net.encode(*batch)


def answer(net: Any, batch: Batch) -> Float[Tensor, "*n k"]:
    """Return what the net says of a batch, to fp rounding."""
    return net.answer(encode_ragged(net, *batch), batch.mask) if _pays(net, batch) else net(*batch)


def _pays(net: Any, batch: Batch) -> bool:
    """Tell whether to read without padding; who looks into a net, or changes it, counts on one row for each text."""
    return hasattr(net, "embed") and not batch.mask.all() and not is_touched(net)


def _pad(part: Sequence[Encoding], pad_id: int) -> Batch:
    lengths = [len(one.ids) for one in part]
    longest = max(lengths)
    ids = torch.tensor([one.ids + [pad_id] * (longest - n) for one, n in zip(part, lengths, strict=True)])
    segments = torch.tensor([one.segments + [0] * (longest - n) for one, n in zip(part, lengths, strict=True)])
    return Batch(ids, torch.arange(longest) < torch.tensor(lengths)[:, None], segments)
