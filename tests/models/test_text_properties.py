"""What nets of texts promise, for any input: hypothesis draws lengths, places and ids; nets of each kind must hold."""

from itertools import accumulate
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import qkv
from models.tiny import SMALL, Texts, difference, make, sentences
from qkv.nn.attention import Attend
from qkv.nn.ragged import encode_ragged

ENCODERS = {
    name: SMALL[name]
    for name in ("bert-tiny", "distilbert-base-uncased", "deberta-v3-base", "deberta shared=False")
    if name in SMALL
}
DECODERS = {name: SMALL[name] for name in ("gpt-tiny", "openai-gpt", "llama-tiny")}
encoders = pytest.mark.parametrize("small", ENCODERS.values(), ids=ENCODERS)
decoders = pytest.mark.parametrize("small", DECODERS.values(), ids=DECODERS)
both = pytest.mark.parametrize("small", [*ENCODERS.values(), *DECODERS.values()], ids=[*ENCODERS, *DECODERS])
seeds, lengths = st.integers(0, 2**32), st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)
examples = settings(max_examples=8)
NEAR = 3e-6


def draw(small: Any, seed: int, lengths: tuple[int, ...]) -> tuple[Any, Texts]:
    torch.manual_seed(seed)
    batch = sentences(small.cfg, lengths)
    return make(small), Texts(batch.source, batch.source_mask)


def padded(batch: Texts, left: int, right: int) -> Texts:
    """Return the same texts with more padding around each: ids that nobody may read."""
    n = batch.mask.sum(1).tolist()
    shape = (len(n), left + batch.ids.size(1) + right)
    ids, mask = torch.randint(4, 30, shape), torch.zeros(shape, dtype=torch.bool)
    for row, length in enumerate(n):
        ids[row, left : left + length], mask[row, left : left + length] = batch.ids[row, :length], True
    return Texts(ids, mask)


def test_the_kinds_are_what_they_stand_for():
    assert {small.family.name for small in (*ENCODERS.values(), *DECODERS.values())} == {
        "bert",
        "deberta",
        "gpt",
        "llama",
    }
    cfg = DECODERS["llama-tiny"].cfg
    assert 1 < cfg.n_kv_heads < cfg.n_heads
    assert not DECODERS["openai-gpt"].cfg.pre_norm


@decoders
@examples
@given(seed=seeds, lengths=lengths, at=st.integers(1, 7))
def test_nothing_leaks_from_the_future(small, seed, lengths, at):
    net, (ids, _) = draw(small, seed, (*lengths, 8))
    other = ids.clone()
    other[:, at:] = (ids[:, at:] - 3) % 20 + 4
    before, after = net(ids), net(other)
    assert torch.equal(before[:, :at], after[:, :at])
    assert not torch.equal(before[:, at], after[:, at])


@encoders
def test_encoders_see_both_sides(small):
    net, (ids, _) = draw(small, 0, (8,))
    other = ids.clone()
    other[:, -1] = (ids[:, -1] - 3) % 20 + 4
    assert difference(net.encode(other)[:, 0], net.encode(ids)[:, 0]) > 1e-4


@both
@examples
@given(seed=seeds, lengths=lengths, left=st.integers(0, 3), right=st.integers(0, 3))
def test_padding_on_either_side_changes_nothing(small, seed, lengths, left, right):
    net, batch = draw(small, seed, lengths)
    more = padded(batch, left, right)
    assert difference(net.encode(*more)[more.mask], net.encode(*batch)[batch.mask]) <= NEAR
    assert difference(net.summary(net.encode(*more), more.mask), net.summary(net.encode(*batch), batch.mask)) <= NEAR


@both
@examples
@given(seed=seeds, lengths=lengths)
def test_a_batch_is_its_rows(small, seed, lengths):
    net, batch = draw(small, seed, lengths)
    rows = [net.encode(batch.ids[[i], :n])[0] for i, n in enumerate(lengths)]
    assert difference(torch.cat(rows), net.encode(*batch)[batch.mask]) <= NEAR


@pytest.mark.parametrize("small", [ENCODERS["bert-tiny"]], ids=["bert-tiny"])
@examples
@given(seed=seeds, lengths=lengths)
def test_without_padding_it_is_the_same_batch(small, seed, lengths):
    net, batch = draw(small, seed, lengths)
    assert difference(encode_ragged(net, *batch)[batch.mask], net.encode(*batch)[batch.mask]) <= NEAR
    with qkv.look(net) as ragged:
        encode_ragged(net, *batch)
    for i in range(len(ragged.maps)):
        weights = ragged.weights(i, "self", "text")
        assert weights.shape == (1, small.cfg.n_heads, sum(lengths), sum(lengths))
        for row, end in enumerate(accumulate(lengths)):
            with qkv.look(net) as alone:
                net.encode(batch.ids[[row], : lengths[row]])
            mine = weights[:, :, end - lengths[row] : end]
            here = alone.weights(i, "self", "text")
            torch.testing.assert_close(mine[..., end - lengths[row] : end], here, rtol=0, atol=NEAR)
            torch.testing.assert_close(mine.sum(-1), here.sum(-1), rtol=0, atol=NEAR)


@decoders
@examples
@given(seed=seeds, lengths=lengths, beams=st.integers(1, 3), chunk=st.sampled_from([None, 1, 3]))
def test_steps_with_a_cache_equal_one_pass(small, seed, lengths, beams, chunk):
    """Prompts of several lengths, padded on the left, whole or in pieces; `beams` hypotheses share each."""
    net, batch = draw(small, seed, lengths)
    ids, mask = batch.ids.flip(1), batch.mask.flip(1)
    more = torch.randint(4, 27, (beams * len(lengths), 4))
    first, state = net.begin(ids, mask, beams=beams, room=4, chunk=chunk)
    steps = torch.stack([first, *(net.step(column, state) for column in more.unbind(1))], 1)
    for row, n in enumerate(n for n in lengths for _ in range(beams)):
        whole = torch.cat((ids[row // beams, ids.size(1) - n :], more[row]))
        assert difference(steps[row], net(whole[None])[0, n - 1 :]) <= NEAR


@both
@examples
@given(seed=seeds, lengths=lengths, side=st.sampled_from(["left", "right"]))
def test_the_maps_shown_are_those_used(small, seed, lengths, side):
    net, batch = draw(small, seed, lengths)
    batch = batch if side == "right" else Texts(batch.ids.flip(1), batch.mask.flip(1))
    used: list[Any] = []
    seats = [module for module in net.modules() if isinstance(module, Attend)]
    hooks = [seat.register_forward_hook(lambda _, x, y: used.append((x[2], y))) for seat in seats]
    with qkv.look(net) as seen:
        net.encode(*batch)
    for hook in hooks:
        hook.remove()
    assert len(used) == len(seen.maps)
    for spec, (v, mixed) in zip(seen.maps, used, strict=True):
        weights = seen.weights(spec.layer, "self", "text")
        v = v.repeat_interleave(weights.size(1) // v.size(1), 1)
        torch.testing.assert_close(weights @ v, mixed, rtol=NEAR, atol=NEAR)


@both
@examples
@given(seed=seeds, lengths=lengths, side=st.sampled_from(["left", "right"]))
def test_rows_sum_to_one_and_padding_gets_nothing(small, seed, lengths, side):
    net, batch = draw(small, seed, lengths)
    ids, mask = batch if side == "right" else (batch.ids.flip(1), batch.mask.flip(1))
    with qkv.look(net) as seen:
        net.encode(ids, mask)
    for spec in seen.maps:
        weights = seen.weights(spec.layer, "self", "text").transpose(1, 2)[mask]  # real queries: n h s
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]), rtol=0, atol=NEAR)
        hidden = (~mask).repeat_interleave(mask.sum(1), 0)
        assert weights.transpose(1, 2)[hidden].eq(0).all()
        if small in DECODERS.values():
            assert seen.weights(spec.layer, "self", "text").triu(1).eq(0).all()


@both
@examples
@given(seed=seeds)
def test_a_text_of_padding_alone_gives_finite_states_and_gradients(small, seed):
    """Its rows look nowhere: they get zeros, and the texts beside it what they get without it."""
    net, batch = draw(small, seed, (5, 7))
    ids, mask = (x.flip(1) for x in batch)
    mask[1] = False
    with qkv.look(net) as seen:
        states = net.encode(ids, mask)
    assert states.isfinite().all()
    for spec in seen.maps:
        assert seen.weights(spec.layer, "self", "text")[1].eq(0).all()
    assert difference(states[:1], net.encode(ids[:1], mask[:1])) <= NEAR
    used = [parameter for name, parameter in net.named_parameters() if name.startswith("stack")]
    grads = torch.autograd.grad(net.encode(ids, mask).square().sum(), used)
    assert all(grad.isfinite().all() for grad in grads)
