"""What travels down a stack beside the stream."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.ops.windows import Windows


class Where(NamedTuple):
    """What a net makes once per pass and every layer reads: who may look at whom, and where the queries stand.

    mask: True = may look. bias: added to the scores, the mask already inside; then mask is None.
    at: positions of the queries in the cache they read; the mask then spans the keys that are there.
    rotary: cosines and sines of the positions of the queries, and of keys that are new (`ops.rotary`).
    relative: the embedded distances of DeBERTa, one row each.
    lengths: the batch is one row of sequences laid end to end, of these lengths; none sees another. Then mask is None.
    windows: how a map is cut into squares that see only themselves (`ops.windows`).
    """

    mask: Bool[Tensor, "*#bh #t s"] | None = None
    bias: Float[Tensor, "*#bh t s"] | None = None
    causal: bool = False
    at: Int[Tensor, "t"] | None = None
    rotary: tuple[Float[Tensor, "*#bh t d"], Float[Tensor, "*#bh t d"]] | None = None
    relative: Float[Tensor, "r m"] | None = None
    lengths: tuple[int, ...] | None = None
    windows: Windows | None = None


EVERYWHERE = Where()
