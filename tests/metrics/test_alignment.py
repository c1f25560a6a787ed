import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkv.base.errors import DataError, ShapeError
from qkv.metrics.alignment import alignment_error_rate, strongest

LINKS = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)))


def test_a_corpus_by_hand():
    predicted = [{(0, 0), (1, 1)}, {(2, 0)}]
    gold = [{(0, 0), (1, 2), (2, 2)}, {(2, 0)}]
    assert alignment_error_rate(predicted, gold) == pytest.approx(1 - 2 * 2 / (3 + 4))


def test_sizes_are_summed_over_the_corpus_not_averaged_over_sentences():
    predicted, gold = [{(i, i) for i in range(9)}, {(0, 0)}], [{(i, i) for i in range(9)}, {(1, 0)}]
    assert alignment_error_rate(predicted, gold) == pytest.approx(0.1)


@given(st.lists(st.tuples(LINKS, LINKS), min_size=1))
def test_it_is_one_minus_the_f1_of_links(corpus: list):
    predicted, gold = [a for a, _ in corpus], [s for _, s in corpus]
    if not any(gold):
        return
    n_right = sum(len(a & s) for a, s in corpus)
    precision = n_right / sum(map(len, predicted)) if any(predicted) else 0.0
    recall = n_right / sum(map(len, gold))
    f1 = 2 * precision * recall / (precision + recall) if n_right else 0.0
    assert alignment_error_rate(predicted, gold) == pytest.approx(1 - f1)


def test_all_right_is_zero_and_all_wrong_is_one():
    assert alignment_error_rate([{(0, 1)}], [{(0, 1)}]) == 0.0
    assert alignment_error_rate([{(1, 1)}], [{(0, 1)}]) == 1.0


def test_unequal_lengths_and_a_corpus_without_gold_are_refused():
    with pytest.raises(DataError, match="1 predicted alignments for 2 gold"):
        alignment_error_rate([set()], [{(0, 0)}, {(0, 0)}])
    for corpus in ([], [set()]):
        with pytest.raises(DataError, match="no alignment error rate"):
            alignment_error_rate(corpus, corpus)


def test_the_strongest_source_token_of_each_linked_target_token():
    weights = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25], [0.2, 0.2, 0.6]], dtype=np.float32)
    assert strongest(weights, {(0, 0), (2, 0), (0, 2)}) == {(1, 0), (2, 2)}
    assert strongest(weights, set()) == set()


def test_rows_are_target_tokens():
    weights = np.array([[0.0, 1.0, 0.0]])
    assert strongest(weights, {(2, 0)}) == {(1, 0)}
    with pytest.raises(ShapeError, match="at least 2 target by 1 source tokens, these are 1 by 3"):
        strongest(weights, {(0, 1)})
    with pytest.raises(ShapeError, match="at least 1 target by 4 source"):
        strongest(weights, {(3, 0)})


def test_nan_has_no_strongest():
    weights = np.array([[np.nan, 1.0], [0.0, 1.0]])
    with pytest.raises(DataError, match="NaN"):
        strongest(weights, {(0, 0)})
    assert strongest(weights, {(0, 1)}) == {(1, 1)}
