"""Translate with a net, and score what comes out: strings, and alignments against gold, by source length."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.base.errors import ConfigError, DataError, ShapeError
from qkv.data.pairs import Pair, token_links
from qkv.generation.outputs import Hypothesis
from qkv.generation.search import beam_search, greedy
from qkv.inside.look import Seen, look
from qkv.metrics.alignment import alignment_error_rate, strongest
from qkv.metrics.translation import bleu, chrf, exact_match
from qkv.models import family_of
from qkv.models.family import EncoderDecoder, MapSpec
from qkv.tasks.translation import Translation

BATCH_TOKENS = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Translated:
    """One translation; weights[layer] are those of that cross-attention, (h, t, s), if they were asked for."""

    text: str
    score: float
    ids: list[int]
    weights: dict[int, Float[np.ndarray, "h t s"]] | None = None


def cross_maps(net: EncoderDecoder) -> tuple[MapSpec, ...]:
    """Return the maps in which target tokens look at source tokens; none for a fixed context."""
    return tuple(spec for spec in family_of(net).maps(net.cfg) if spec.kind == "cross")


def translate_texts(
    net: EncoderDecoder,
    task: Translation,
    texts: Sequence[str],
    *,
    beams: int = 1,
    length_penalty: float = 1.0,
    max_tokens: int | None = None,
    weights: bool = False,
) -> list[Translated]:
    """Return the translation of each text, in their order; with `weights`, what the decoder looked at for each token.

    beams: 1 is greedy. max_tokens: of one translation, twice the source's length and twenty more unless given.
    """
    for name, value in (("beams", beams), ("max_tokens", max_tokens)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}; it must be at least 1.")
    encoded = _encode(task, texts)
    out: list[Translated | None] = [None] * len(texts)
    for indices in _by_length([len(ids) for ids in encoded], beams):
        source, mask = task.sources([encoded[i] for i in indices])
        rooms = [min(max_tokens or 2 * len(encoded[i]) + 20, net.cfg.max_len) for i in indices]
        with look(net, kinds=("cross",)) if weights else nullcontext() as seen:
            found = _search(net, source, mask, beams, length_penalty, rooms)
        for i, one in zip(indices, found, strict=True):
            layers = _stitch(net, seen, one, len(encoded[i])) if seen else None
            out[i] = Translated(text=task.decode(one.ids), score=one.score, ids=one.ids, weights=layers)
    return [done for done in out if done is not None]


def _encode(task: Translation, texts: Sequence[str]) -> list[list[int]]:
    encoded = []
    for i, text in enumerate(texts, 1):
        try:
            encoded.append(task.encode_source(text))
        except ShapeError as error:
            raise ShapeError(f"Text {i} of {len(texts)}: {error}") from None
    return encoded


def _stitch(net: EncoderDecoder, seen: Seen, found: Hypothesis, n_source: int) -> dict[int, Float[np.ndarray, "h t s"]]:
    return {s.layer: seen.stitched(found.rows, s.layer)[..., :n_source].float().numpy() for s in cross_maps(net)}


def _search(
    net: EncoderDecoder,
    source: Int[Tensor, "b s"],
    mask: Bool[Tensor, "b s"],
    beams: int,
    length_penalty: float,
    rooms: Sequence[int],
) -> list[Hypothesis]:
    if beams == 1:
        return greedy(net, source, mask, room=rooms)
    return beam_search(net, source, mask, beams=beams, length_penalty=length_penalty, room=rooms)


def _by_length(lengths: Sequence[int], rows: int) -> Iterator[list[int]]:
    """Cut the indices, shortest first, into batches of at most BATCH_TOKENS source tokens, `rows` rows for each."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[i] * rows > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


@torch.inference_mode()
def alignment_errors(net: EncoderDecoder, task: Translation, pairs: Sequence[Pair]) -> dict[tuple[int, int], float]:
    """Return the alignment error rate of every cross-attention head, by (layer, head); pairs without gold are left out.

    Teacher-forced on the reference. For each gold-linked target token the source token of largest weight counts, in
    the row of the query that predicts it. S = P: Och and Ney 2003, section 2 (https://aclanthology.org/J03-1002).
    """
    linked = [pair for pair in pairs if pair.links]
    if not linked:
        raise DataError("No pair carries gold links; the alignment error rate needs some.")
    gold = [_gold(task, pair) for pair in linked]
    examples = [task.encode(pair) for pair in linked]
    specs = cross_maps(net)
    guessed = {(s.layer, head): [set()] * len(linked) for s in specs for head in range(s.heads)}
    for indices in _by_length([len(example.source) for example in examples], 1):
        batch = task.batch([examples[i] for i in indices])
        with look(net, kinds=("cross",)) as seen:
            net(batch.source, batch.target, batch.source_mask)
        for spec in specs:
            maps = seen.weights(spec.layer).float().numpy()
            for place, i in enumerate(indices):
                for head in range(spec.heads):
                    guessed[spec.layer, head][i] = strongest(maps[place, head], gold[i])
    return {key: alignment_error_rate(links, gold) for key, links in guessed.items()}


def _gold(task: Translation, pair: Pair) -> set[tuple[int, int]]:
    return token_links(pair.links or (), task.source.encode(pair.source).spans, task.target.encode(pair.target).spans)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarter:
    """The pairs of one quarter by source length: from, to (tokens), how many, exact matches in percent."""

    shortest: int
    longest: int
    n_pairs: int
    exact: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """How well a net translates: percentages, the metrics' signatures, exact matches by source length, alignment.

    left_out: rows of a file that could not be used, and are in no figure.
    """

    n_pairs: int
    exact: float
    chrf: float
    chrf_signature: str
    bleu: float
    bleu_signature: str
    quarters: tuple[Quarter, ...]
    alignment: dict[tuple[int, int], float]
    left_out: int = 0

    @property
    def best_head(self) -> tuple[int, int] | None:
        """Return the (layer, head) of least alignment error, or None where nothing could be scored."""
        return min(self.alignment, key=self.alignment.__getitem__, default=None)


def score_translations(
    net: EncoderDecoder, task: Translation, pairs: Sequence[Pair], *, beams: int = 1, length_penalty: float = 1.0
) -> tuple[Report, list[Translated]]:
    """Translate the sources of `pairs` and score them against the targets; also return the translations."""
    done = translate_texts(net, task, [p.source for p in pairs], beams=beams, length_penalty=length_penalty)
    texts, targets = [d.text for d in done], [p.target for p in pairs]
    chrf_score, bleu_score = chrf(texts, targets), bleu(texts, targets)
    report = Report(
        n_pairs=len(pairs),
        exact=exact_match(texts, targets),
        chrf=chrf_score.value,
        chrf_signature=chrf_score.signature,
        bleu=bleu_score.value,
        bleu_signature=bleu_score.signature,
        quarters=_quarters(texts, targets, [len(task.encode_source(p.source)) for p in pairs]),
        alignment=alignment_errors(net, task, pairs) if cross_maps(net) and any(p.links for p in pairs) else {},
    )
    return report, done


def _quarters(texts: Sequence[str], targets: Sequence[str], lengths: Sequence[int]) -> tuple[Quarter, ...]:
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    cuts = [round(len(order) * q / 4) for q in range(5)]
    parts = [order[a:b] for a, b in pairwise(cuts) if b > a]
    return tuple(
        Quarter(
            shortest=lengths[part[0]],
            longest=lengths[part[-1]],
            n_pairs=len(part),
            exact=exact_match([texts[i] for i in part], [targets[i] for i in part]),
        )
        for part in parts
    )
