"""What travels down a stack beside the stream."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor


class Where(NamedTuple):
    """What a net makes once per pass and every layer reads: who may look at whom, and where the queries stand.

    mask: True = may look. bias: added to the scores, the mask already inside; then mask is None.
    at: positions of the queries in the cache they read; the mask then spans the keys that are there.
    """

    mask: Bool[Tensor, "*#bh #t s"] | None = None
    bias: Float[Tensor, "*#bh t s"] | None = None
    causal: bool = False
    at: Int[Tensor, "t"] | None = None


EVERYWHERE = Where()
