"""BLEU, chrF and exact match: sacrebleu's figures, and none at all where the lines do not pair."""

import inspect
import sys

import pytest
import sacrebleu

from qkv.base.errors import DataError, UnsupportedError
from qkv.metrics.translation import bleu, chrf, exact_match

HYPS = ["le chat est sur le tapis", "mardi 3 mars 2015", "un deux trois quatre cinq"]
REFS = ["le chat est assis sur le tapis", "mardi 3 mars 2015", "un deux trois quatre cinq six"]


def test_figures_are_sacrebleus():
    assert bleu(HYPS, REFS).value == pytest.approx(sacrebleu.corpus_bleu(HYPS, [REFS]).score)
    assert chrf(HYPS, REFS).value == pytest.approx(sacrebleu.corpus_chrf(HYPS, [REFS]).score)
    assert 0 < bleu(HYPS, REFS).value < 100 and 0 < chrf(HYPS, REFS).value < 100
    assert bleu(REFS, REFS).value == pytest.approx(100) and chrf(REFS, REFS).value == pytest.approx(100)


def test_a_single_line_is_one_reference_not_one_per_character():
    assert bleu(["le chat est sur le tapis"], ["le chat est sur le tapis"]).value == pytest.approx(100)
    assert chrf(("ab",), ("ab",)).value == pytest.approx(100)


def test_signatures_say_how_the_figure_was_computed():
    version = f"version:{sacrebleu.__version__}"
    assert bleu(HYPS, REFS).signature == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}"
    assert chrf(HYPS, REFS).signature == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}"


def test_exact_match_is_a_percentage_of_equal_strings():
    assert exact_match(HYPS, REFS) == pytest.approx(100 / 3)
    assert exact_match(["a ", "é"], ["a", "e\u0301"]) == 0
    assert exact_match(REFS, REFS) == 100


@pytest.mark.parametrize("metric", [bleu, chrf, exact_match])
def test_lines_that_do_not_pair_are_refused(metric):
    metric = inspect.unwrap(metric)  # the checker of types stops some of these earlier, in tests only
    with pytest.raises(DataError, match="3 translations cannot be scored against 2 references"):
        metric(HYPS, REFS[:2])
    with pytest.raises(DataError, match="2 translations cannot be scored against 3"):
        metric(HYPS[:2], REFS)
    with pytest.raises(DataError, match="nothing to score"):
        metric([], [])
    with pytest.raises(DataError, match="refs is one string"):
        metric(["abc"], "abc")
    with pytest.raises(DataError, match="hyps is one string"):
        metric("abc", ["a", "b", "c"])
    with pytest.raises(DataError, match=r"refs\[0\] is \['le chat.*one string for each line"):
        metric(HYPS, [[ref] for ref in REFS])
    with pytest.raises(DataError, match=r"hyps\[1\] is None"):
        metric(["a", None], ["a", "b"])


def test_the_cure_is_named_where_sacrebleu_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    for metric in (bleu, chrf):
        with pytest.raises(UnsupportedError, match=r'pip install "qkv\[eval\]"'):
            metric(HYPS, REFS)
    assert exact_match(REFS, REFS) == 100
