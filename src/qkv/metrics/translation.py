"""How near translations are to their references: BLEU and chrF by sacrebleu, and exact match."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from qkv.base.errors import DataError, UnsupportedError


class Score(NamedTuple):
    """A figure from 0 to 100, and the signature that says how it was computed: report both."""

    value: float
    signature: str


def bleu(hyps: Sequence[str], refs: Sequence[str]) -> Score:
    """Score a corpus by BLEU (Papineni et al. 2002, https://aclanthology.org/P02-1040/): one reference for each line.

    hyps: detokenised translations. Raises DataError unless both are lists of as many strings, and UnsupportedError
    where sacrebleu (Post 2018, https://aclanthology.org/W18-6319/) is not installed.
    """
    _check(hyps, refs)
    return _score(_sacrebleu().metrics.BLEU(), hyps, refs)


def chrf(hyps: Sequence[str], refs: Sequence[str]) -> Score:
    """Score a corpus by chrF2, F-score of character 6-grams (Popovic 2015, https://aclanthology.org/W15-3049/).

    Arguments and errors are those of `bleu`.
    """
    _check(hyps, refs)
    return _score(_sacrebleu().metrics.CHRF(), hyps, refs)


def exact_match(hyps: Sequence[str], refs: Sequence[str]) -> float:
    """Return the percentage of translations that equal their reference, character by character."""
    _check(hyps, refs)
    return 100 * sum(hyp == ref for hyp, ref in zip(hyps, refs, strict=True)) / len(refs)


def _score(metric: Any, hyps: Sequence[str], refs: Sequence[str]) -> Score:
    value = metric.corpus_score(list(hyps), [list(refs)]).score
    return Score(value, str(metric.get_signature()))


def _check(hyps: Sequence[object], refs: Sequence[object]) -> None:
    for name, lines in (("hyps", hyps), ("refs", refs)):
        if isinstance(lines, str):
            raise DataError(f"{name} is one string, and each of its characters would count as a line: give [text].")
        wrong = next((i for i, line in enumerate(lines) if not isinstance(line, str)), None)
        if wrong is not None:
            raise DataError(f"{name}[{wrong}] is {lines[wrong]!r:.60}, not a string: give one string for each line.")
    if len(hyps) != len(refs):
        raise DataError(f"{len(hyps):,} translations cannot be scored against {len(refs):,} references, line by line.")
    if not hyps:
        raise DataError("There is nothing to score: no translation, no reference.")


def _sacrebleu() -> Any:
    try:
        import sacrebleu
    except ModuleNotFoundError as error:
        raise UnsupportedError('BLEU and chrF are computed by sacrebleu: pip install "qkv[eval]".') from error
    return sacrebleu
