"""Greedy and beam search against searches without cache or batch: lists of prefixes, each run anew at every step."""

import copy
import itertools
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import qkv
from models.tiny import SMALL, Sentences, make_lively, sentences
from qkv.base.errors import UnsupportedError
from qkv.generation.outputs import Hypothesis
from qkv.generation.search import beam_search, greedy

ROOM = 9
NAMES = ("rnn-tiny", "bahdanau-tiny", "luong-tiny", "transformer-tiny", "transformer pre_norm=True")
both_families = pytest.mark.parametrize("name", NAMES)


@cache
@torch.inference_mode()
def lively(name: str) -> tuple[Any, Sentences]:
    """Return a net and sources whose outputs end at various steps, whose beams change rows and leave on the way.

    Nets are drawn until one does: with any other these tests would prove little. The end token is the one that tells
    the sources apart best.
    """
    for seed in itertools.count():
        torch.manual_seed(seed)
        net = make_lively(SMALL[name], end_id=1)
        batch = sentences(net.cfg, (5, 3, 7, 1, 4, 6))
        outputs = [h.ids for h in greedy(net, batch.source, batch.source_mask, room=ROOM)]
        places = {t: {ids.index(t) if t in ids else ROOM for ids in outputs} for ids in outputs for t in ids}
        net.cfg = replace(net.cfg, end_id=max(places, key=lambda token: len(places[token])))
        (single, _), (beams, n_rows) = (search(net, batch, beams=beams) for beams in (1, 3))
        moves = any(len({row % 3 for row in h.rows}) > 1 for h in beams)
        ends = [len({len(h.ids) for h in found}) for found in (single, beams)]
        if moves and min(ends) > 1 and n_rows[-1] < n_rows[0]:
            return net, batch
    raise AssertionError


def search(net: Any, batch: Sentences, *, beams: int) -> tuple[list[Hypothesis], list[int]]:
    """Return what is found, and how many rows each step had."""
    n_rows: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        step = net.step
        patch.setattr(net, "step", lambda ids, state: n_rows.append(len(ids)) or step(ids, state))
        if beams == 1:
            return greedy(net, batch.source, batch.source_mask, room=ROOM), n_rows
        return beam_search(net, batch.source, batch.source_mask, beams=beams, room=ROOM), n_rows


def log_p(net: Any, source: Tensor, prefixes: list[list[int]]) -> Tensor:
    """Return the log-probabilities of the token after each prefix, by a pass without a cache; none of padding."""
    target = torch.tensor([[net.cfg.start_id, *ids] for ids in prefixes])
    rows = source.expand(len(prefixes), -1)
    logits = net(rows, target, torch.ones_like(rows, dtype=torch.bool))[:, -1].double()
    return logits.log_softmax(-1).index_fill(1, torch.tensor(net.cfg.pad_id), -torch.inf)


def sources(batch: Sentences) -> list[Tensor]:
    return [ids[mask] for ids, mask in zip(batch.source, batch.source_mask, strict=True)]


@both_families
@torch.inference_mode()
def test_greedy_takes_the_likeliest_token_at_every_step(name):
    net, batch = lively(name)
    found = greedy(net, batch.source, batch.source_mask, room=ROOM)
    for hypothesis, source in zip(found, sources(batch), strict=True):
        ids, total = [], 0.0
        while len(ids) < ROOM and ids[-1:] != [net.cfg.end_id]:
            values = log_p(net, source, [ids])[0]
            ids.append(int(values.argmax()))
            total += values.max().item()
        assert hypothesis.ids == ids
        assert hypothesis.score == pytest.approx(total / len(ids), abs=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("name", ["bahdanau-tiny", "transformer-tiny"])
@torch.inference_mode()
def test_a_beam_that_is_wide_enough_finds_the_best_of_all_outputs(name, penalty):
    """A vocabulary of five, four steps: every output is scored."""
    sizes = {"vocab_size": 5} | ({"target_vocab_size": 5} if name == "bahdanau-tiny" else {})
    net = make_lively(SMALL[name], **sizes)
    source, mask = torch.randint(1, 5, (3, 6)), torch.ones(3, 6, dtype=torch.bool)
    found = beam_search(net, source, mask, beams=40, length_penalty=penalty, room=4)
    every = torch.cartesian_prod(*[torch.arange(1, 5)] * 4)
    steps = torch.cat((torch.full((len(every), 1), net.cfg.start_id), every[:, :3]), 1)
    for row, hypothesis in zip(source, found, strict=True):
        logits = net(row.expand(len(every), -1), steps, mask[:1].expand(len(every), -1)).double()
        values = logits.log_softmax(-1).gather(-1, every[..., None])[..., 0]
        scored = {}
        for ids, value in zip(every.tolist(), values, strict=True):
            n = ids.index(net.cfg.end_id) + 1 if net.cfg.end_id in ids else 4
            scored[tuple(ids[:n])] = value[:n].sum().item() / n**penalty
        assert len(scored) == 1 + 3 + 9 + 27 * 4
        best = max(scored, key=lambda ids: scored[ids])
        assert hypothesis.ids == list(best)
        assert hypothesis.score == pytest.approx(scored[best], abs=1e-5)


def plain_beam(net: Any, source: Tensor, beams: int, penalty: float) -> tuple[list[int], float]:
    """Search with a beam over one source: the rule of `beam_search`, with lists and full passes."""
    running: list[tuple[list[int], float]] = [([], 0.0)]
    finished: list[tuple[list[int], float]] = []
    for step in range(1, ROOM + 1):
        values = log_p(net, source, [ids for ids, _ in running]).tolist()
        candidates = [
            ([*ids, token], total + value)
            for (ids, total), row in zip(running, values, strict=True)
            for token, value in enumerate(row)
        ]
        candidates = sorted(candidates, key=lambda pair: -pair[1])[: 2 * beams]
        running = []
        for rank, (ids, total) in enumerate(candidates):
            if ids[-1] != net.cfg.end_id and step < ROOM:
                running.append((ids, total))
            elif rank < beams:
                finished.append((ids, total / step**penalty))
        running, finished = running[:beams], sorted(finished, key=lambda pair: -pair[1])[:beams]
        if len(finished) == beams and (not running or running[0][1] / step**penalty <= finished[-1][1]):
            break
    return finished[0]


@both_families
@pytest.mark.parametrize(("beams", "penalty"), [(2, 1.0), (4, 0.6)])
@torch.inference_mode()
def test_beam_search_equals_one_over_lists(name, beams, penalty):
    net, batch = lively(name)
    found = beam_search(net, batch.source, batch.source_mask, beams=beams, length_penalty=penalty, room=ROOM)
    for hypothesis, source in zip(found, sources(batch), strict=True):
        ids, score = plain_beam(net, source, beams, penalty)
        assert hypothesis.ids == ids
        assert hypothesis.score == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("name", ["bahdanau-tiny", "transformer-tiny"])
@torch.inference_mode()
def test_a_large_vocabulary_is_searched_alike(name):
    sizes = {"vocab_size": 1000} | ({"target_vocab_size": 1000} if name == "bahdanau-tiny" else {})
    net = make_lively(SMALL[name], **sizes)
    batch = sentences(net.cfg, (5, 3, 7))
    found = beam_search(net, batch.source, batch.source_mask, beams=3, length_penalty=1.0, room=ROOM)
    single = greedy(net, batch.source, batch.source_mask, room=ROOM)
    for wide, one, source in zip(found, single, sources(batch), strict=True):
        ids, score = plain_beam(net, source, 3, 1.0)
        assert wide.ids == ids and wide.score == pytest.approx(score, abs=1e-5)
        assert one.ids == plain_beam(net, source, 1, 1.0)[0]


@both_families
@torch.inference_mode()
def test_a_net_in_training_mode_is_refused(name):
    net, batch = lively(name)
    net = copy.deepcopy(net).train()
    for search_by in (greedy, beam_search):
        with pytest.raises(UnsupportedError, match=r"net\.eval"):
            search_by(net, batch.source, batch.source_mask, room=ROOM)


@both_families
@torch.inference_mode()
def test_one_beam_is_greedy(name):
    net, batch = lively(name)
    one = beam_search(net, batch.source, batch.source_mask, beams=1, room=ROOM)
    assert [h.ids for h in one] == [h.ids for h in greedy(net, batch.source, batch.source_mask, room=ROOM)]


@both_families
@torch.inference_mode()
def test_a_higher_length_penalty_prefers_longer_outputs(name):
    net, batch = lively(name)
    lengths = [
        sum(len(h.ids) for h in beam_search(net, *batch[::2], beams=4, length_penalty=penalty, room=ROOM))
        for penalty in (0.0, 4.0)
    ]
    assert lengths[0] < lengths[1]


@both_families
@pytest.mark.parametrize("beams", [1, 3])
@torch.inference_mode()
def test_finished_sources_leave_the_batch_and_the_others_do_not_notice(name, beams):
    net, batch = lively(name)
    together, n_rows = search(net, batch, beams=beams)
    assert n_rows == sorted(n_rows, reverse=True) and n_rows[0] == 6 * beams > n_rows[-1]
    for hypothesis, source in zip(together, sources(batch), strict=True):
        whole = torch.ones(1, len(source), dtype=torch.bool)
        ((alone,), _) = search(net, Sentences(source[None], batch.target[:1], whole), beams=beams)
        assert hypothesis.ids == alone.ids
        assert hypothesis.score == pytest.approx(alone.score, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "rnn-tiny"])
@pytest.mark.parametrize("beams", [1, 3])
@torch.inference_mode()
def test_what_was_seen_is_stitched_to_the_hypothesis(name, beams):
    """Beams change rows and sources leave; still each token gets the weights with which it was predicted."""
    net, batch = lively(name)
    with qkv.look(net) as seen:
        found, _ = search(net, batch, beams=beams)
    for i, hypothesis in enumerate(found):
        target = torch.tensor([[net.cfg.start_id, *hypothesis.ids[:-1]]])
        with qkv.look(net) as forced:
            net(batch.source[[i]], target, batch.source_mask[[i]])
        for spec in seen.maps:
            if spec.query_stream == "target":
                stitched = seen.stitched(hypothesis.rows, spec.layer, spec.kind)
                wanted = forced.weights(spec.layer, spec.kind)[0]
                torch.testing.assert_close(stitched, wanted, rtol=0, atol=1e-5)


@both_families
@torch.inference_mode()
def test_padding_is_never_written_and_room_is_kept(name):
    _, batch = lively(name)
    transformer = name.startswith("transformer")
    net = make_lively(SMALL[name], **{"logits_bias": True} if transformer else {})
    bias = net.logits_bias[0] if transformer else net.head.bias
    bias[net.cfg.pad_id], bias[net.cfg.end_id] = 50.0, -50.0
    for found in (
        greedy(net, batch.source, batch.source_mask, room=6),
        beam_search(net, batch.source, batch.source_mask, beams=3, room=6),
    ):
        assert [len(h.ids) for h in found] == [6] * 6
        assert not any({net.cfg.pad_id, net.cfg.end_id} & set(h.ids) for h in found)


@both_families
@torch.inference_mode()
def test_the_only_step_there_is_room_for_takes_the_likeliest_token(name):
    net, batch = lively(name)
    (found,) = beam_search(net, batch.source[:1], batch.source_mask[:1], beams=2, room=1)
    values = log_p(net, sources(batch)[0], [[]])[0]
    assert found.ids == [int(values.argmax())]
    assert found.score == pytest.approx(values.max().item(), abs=1e-5)
