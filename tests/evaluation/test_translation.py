from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

import qkv
from models.tiny import SMALL, make_lively
from qkv.base.errors import ConfigError, DataError, ShapeError
from qkv.data.pairs import Link, Pair
from qkv.evaluation import translation
from qkv.evaluation.translation import Quarter, alignment_errors, cross_maps, score_translations, translate_texts
from qkv.tasks.translation import Translation
from qkv.text.tokenizer import train_tokenizer

ALPHABET = "abcdefghijklmnop"
WORDS = train_tokenizer("words", [" ".join(ALPHABET)])
TEXTS = ["a b c", "d", "e f g h i", "j k", "l m n o", "d"]
NAMES = ("rnn-tiny", "bahdanau-tiny", "luong-tiny", "transformer-tiny")


def model(name: str, **changes: Any) -> tuple[Any, Translation]:
    sizes = [size for size in ("vocab_size", "target_vocab_size") if getattr(SMALL[name].cfg, size, None)]
    net = make_lively(SMALL[name], **dict.fromkeys(sizes, WORDS.vocab_size), **changes)
    return net, Translation(WORDS, WORDS, net.cfg)


def gold_of(net: Any, task: Translation, layer: int, head: int, text: str, target: str) -> Pair:
    """Return a pair whose gold alignment is what one head finds strongest, in the row that predicts each word.

    Words for which that is the end of the source have no gold.
    """
    batch = task.batch([task.encode(Pair(text, target))])
    with qkv.look(net) as seen:
        net(batch.source, batch.target, batch.source_mask)
    strongest = seen.weights(layer)[0, head].argmax(-1).tolist()
    sources, targets = WORDS.encode(text).spans, WORDS.encode(target).spans
    links = [Link(sources[s], target) for s, target in zip(strongest, targets, strict=False) if s < len(sources)]
    return Pair(text, target, tuple(links))


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_translations_come_in_the_order_of_the_texts_whatever_the_batches(name, beams, monkeypatch):
    net, task = model(name)
    together = translate_texts(net, task, TEXTS, beams=beams, max_tokens=7)
    monkeypatch.setattr(translation, "BATCH_TOKENS", 1)  # every text by itself
    alone = translate_texts(net, task, TEXTS, beams=beams, max_tokens=7)
    assert [t.ids for t in together] == [t.ids for t in alone]
    assert [t.score for t in together] == pytest.approx([t.score for t in alone], abs=1e-5)
    assert all(t.text == task.decode(t.ids) and t.weights is None for t in together)
    assert len({round(t.score, 3) for t in together}) > 1 and together[1].ids == together[5].ids
    assert translate_texts(net, task, []) == []


def test_batches_hold_at_most_so_many_tokens_for_all_rows(monkeypatch):
    monkeypatch.setattr(translation, "BATCH_TOKENS", 24)
    lengths = [5, 1, 9, 2, 30, 3, 3, 4]
    batches = list(translation._by_length(lengths, 2))
    assert sorted(i for batch in batches for i in batch) == list(range(8))
    flat = [lengths[i] for batch in batches for i in batch]
    assert flat == sorted(lengths)
    assert all(len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) * 2 <= 24 for batch in batches)
    assert len(batches) < 8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("beams", [1, 3])
@torch.inference_mode()
def test_the_weights_are_those_of_each_text_and_token(name, beams):
    net, task = model(name)
    plain = translate_texts(net, task, TEXTS, beams=beams, max_tokens=7)
    for text, without, found in zip(
        TEXTS, plain, translate_texts(net, task, TEXTS, beams=beams, max_tokens=7, weights=True), strict=True
    ):
        assert found.ids == without.ids and found.weights is not None
        source = torch.tensor([task.encode_source(text)])
        with qkv.look(net) as forced:
            net(source, torch.tensor([[net.cfg.start_id, *found.ids[:-1]]]), torch.ones_like(source, dtype=torch.bool))
        assert list(found.weights) == [spec.layer for spec in cross_maps(net)]
        for layer, weights in found.weights.items():
            np.testing.assert_allclose(weights, forced.weights(layer)[0].numpy(), rtol=0, atol=1e-5)


def test_outputs_keep_to_max_tokens_and_to_the_positions():
    net, task = model("transformer-tiny")
    assert {len(t.ids) for t in translate_texts(net, task, TEXTS, max_tokens=5)} <= {1, 2, 3, 4, 5}
    assert max(len(t.ids) for t in translate_texts(net, task, TEXTS)) <= net.cfg.max_len


def test_no_beam_and_no_token_is_refused():
    net, task = model("transformer-tiny")
    with pytest.raises(ConfigError, match="beams is 0; it must be at least 1"):
        translate_texts(net, task, TEXTS, beams=0)
    with pytest.raises(ConfigError, match="max_tokens is 0; it must be at least 1"):
        translate_texts(net, task, TEXTS, max_tokens=0)


def test_a_text_too_long_is_named():
    net, task = model("transformer-tiny")
    with pytest.raises(ShapeError, match="Text 2 of 3: Input has 31 tokens; this model has 24 positions"):
        translate_texts(net, task, ["a", " ".join("abcde" * 6), "b"])


@pytest.mark.parametrize("name", ["bahdanau-tiny", "transformer-tiny"])
def test_alignment_is_scored_in_the_row_that_predicts_the_token(name, monkeypatch):
    """Gold made from a head's own rows gives 0 for that head, though pairs are padded and come in several batches."""
    monkeypatch.setattr(translation, "BATCH_TOKENS", 12)
    net, task = model(name)
    for spec in cross_maps(net):
        for head in range(spec.heads):
            pairs = [
                gold_of(net, task, spec.layer, head, text, target)
                for text, target in (
                    ("a b c d e", "f g h"),
                    ("i j", "k l m n"),
                    ("o p", "a"),
                    ("c b a e", "d e f g h i"),
                )
            ]
            errors = alignment_errors(net, task, [*pairs, Pair("a", "b")])
            assert set(errors) == {(s.layer, h) for s in cross_maps(net) for h in range(s.heads)}
            assert errors[spec.layer, head] == 0.0


class Planted:
    """Weights of one head in which the query of row t looks at source token t + shift."""

    def __init__(self, shift: int) -> None:
        self.shift = shift

    def weights(self, layer: int) -> torch.Tensor:
        return torch.eye(6).roll(self.shift, 1)[None, None].expand(2, 1, 6, 6)


@pytest.mark.parametrize(("shift", "rate"), [(0, 0.0), (1, 1.0), (-1, 1.0)])
def test_row_t_is_the_query_that_predicts_target_token_t(shift, rate, monkeypatch):
    """In a monotone pair the query that reads the start token, row 0, should look at the first source token."""
    net, task = model("bahdanau-tiny")
    monkeypatch.setattr(translation, "look", lambda net, kinds: nullcontext(Planted(shift)))
    monotone = [Link((2 * i, 2 * i + 1), (2 * i, 2 * i + 1)) for i in range(3)]
    pairs = [Pair("a b c d", "e f g h", tuple(monotone)), Pair("a b c", "d e f", tuple(monotone))]
    assert alignment_errors(net, task, pairs) == {(0, 0): rate}


def test_the_rate_is_of_all_links_together(monkeypatch):
    """1 - 2 |A and S| / (|A| + |S|): 3 of 4 guesses right, 5 gold links, as a pair of two with one gives two links."""
    net, task = model("bahdanau-tiny")
    monkeypatch.setattr(translation, "look", lambda net, kinds: nullcontext(Planted(0)))
    right = tuple(Link((2 * i, 2 * i + 1), (2 * i, 2 * i + 1)) for i in range(2))
    pairs = [Pair("a b", "c d", right), Pair("a b c", "d e", (Link((0, 3), (0, 1)), Link((0, 1), (2, 3))))]
    assert alignment_errors(net, task, pairs) == {(0, 0): pytest.approx(1 - 2 * 3 / (4 + 5))}


def test_without_gold_links_there_is_no_alignment_error():
    net, task = model("bahdanau-tiny")
    with pytest.raises(DataError, match="No pair carries gold links"):
        alignment_errors(net, task, [Pair("a", "b"), Pair("c", "d", ())])


@pytest.mark.parametrize("name", NAMES)
def test_a_report_counts_what_was_translated(name):
    net, task = model(name)
    pairs = [Pair(text, done.text or "p") for text, done in zip(TEXTS, translate_texts(net, task, TEXTS), strict=True)]
    pairs[2] = Pair(pairs[2].source, "p p p", (Link((0, 1), (0, 1)),))
    report, done = score_translations(net, task, pairs)
    assert [t.text for t in done] == [t.text for t in translate_texts(net, task, TEXTS)]
    right = [t.text == pair.target for t, pair in zip(done, pairs, strict=True)]
    assert report.n_pairs == 6 and report.exact == pytest.approx(100 * sum(right) / 6)
    assert not right[2] and report.quarters[-1].longest == 6
    assert sum(q.n_pairs * q.exact for q in report.quarters) == pytest.approx(6 * report.exact)
    assert report.chrf_signature.startswith("nrefs:1") and report.bleu_signature.startswith("nrefs:1")
    heads = {(s.layer, h) for s in cross_maps(net) for h in range(s.heads)}
    assert set(report.alignment) == heads
    if heads:
        assert report.best_head in heads and report.alignment[report.best_head] == min(report.alignment.values())
    else:
        assert report.best_head is None


def test_quarters_go_by_source_length():
    texts, targets = list("abcdefgh"), list("abXdeXXX")
    quarters = translation._quarters(texts, targets, [1, 2, 3, 4, 5, 6, 7, 8][::-1])
    assert quarters == (
        Quarter(shortest=1, longest=2, n_pairs=2, exact=0.0),
        Quarter(shortest=3, longest=4, n_pairs=2, exact=50.0),
        Quarter(shortest=5, longest=6, n_pairs=2, exact=50.0),
        Quarter(shortest=7, longest=8, n_pairs=2, exact=100.0),
    )
    assert [q.n_pairs for q in translation._quarters(texts[:2], targets[:2], [4, 9])] == [1, 1]
