from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from qkv.base.errors import DataError
from qkv.metrics.classification import accuracy, macro_f1, majority

LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40)


@given(LABELS)
def test_scores_equal_scikit_learns(pairs):
    said, true = zip(*pairs, strict=True)
    assert accuracy(said, true) == pytest.approx(accuracy_score(true, said))
    wanted: Any = f1_score(true, said, average="macro", zero_division=0)  # type: ignore[arg-type]
    assert macro_f1(said, true) == pytest.approx(wanted)


def test_the_majority_is_what_one_answer_reaches():
    assert majority(["a", "b", "a", "c"]) == 0.5
    assert accuracy(["a"] * 4, ["a", "b", "a", "c"]) == 0.5
    assert macro_f1([0, 0], [0, 1]) == pytest.approx((2 / 3 + 0) / 2)


def test_unequal_or_no_labels_are_refused():
    with pytest.raises(DataError, match="2 labels were given, 1 are true"):
        accuracy([0, 1], [0])
    with pytest.raises(DataError, match="0 labels were given, 0 are true"):
        majority([])
