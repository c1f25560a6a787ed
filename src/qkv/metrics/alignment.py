"""How well attention weights agree with a known alignment of tokens.

Och and Ney 2003, "A Systematic Comparison of Various Statistical Alignment Models", Computational Linguistics 29(1),
https://aclanthology.org/J03-1002/. Gold alignments made by construction have no merely possible links: S = P.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from jaxtyping import Float

from qkv.base.errors import DataError, ShapeError

TokenLink = tuple[int, int]
"""(source token, target token)"""


def strongest(weights: Float[np.ndarray, "t s"], gold: AbstractSet[TokenLink]) -> set[TokenLink]:
    """Link each target token that has a gold link to the source token of largest weight (the first of equals).

    Row t holds the weights with which target token t was predicted, over the source tokens. Target tokens without a
    gold link (separators, the end) are left out. ShapeError when a gold link lies outside the weights, DataError when
    a weight is not a number.
    """
    if any(s >= weights.shape[1] or t >= weights.shape[0] for s, t in gold):
        n_source, n_target = (max(link[side] for link in gold) + 1 for side in (0, 1))
        raise ShapeError(
            f"The gold links need weights of at least {n_target} target by {n_source} source tokens, "
            f"these are {weights.shape[0]} by {weights.shape[1]}; were both made with one tokenizer?"
        )
    targets = {t for _, t in gold}
    if any(np.isnan(weights[t]).any() for t in targets):
        raise DataError("Some attention weights are NaN, so no strongest one exists; check the model's weights.")
    return {(int(weights[t].argmax()), t) for t in targets}


def alignment_error_rate(predicted: Sequence[AbstractSet[TokenLink]], gold: Sequence[AbstractSet[TokenLink]]) -> float:
    """Return 1 - 2 |A and S| / (|A| + |S|) over a corpus, 0 (all links right) to 1: A predicted, S gold links.

    One set of links per pair of sentences; sizes are summed before dividing. DataError when the two corpora differ
    in length or when no sentence has a gold link.
    """
    if len(predicted) != len(gold):
        raise DataError(
            f"There are {len(predicted)} predicted alignments for {len(gold)} gold ones; give one for each."
        )
    n_gold = sum(map(len, gold))
    if n_gold == 0:
        raise DataError(f"None of the {len(gold)} pairs has a gold link, so there is no alignment error rate.")
    n_right = sum(len(a & s) for a, s in zip(predicted, gold, strict=True))
    return 1 - 2 * n_right / (sum(map(len, predicted)) + n_gold)
