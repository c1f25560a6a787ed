"""What attention promises, for any input: hypothesis draws lengths, places and ids, both families must hold."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import qkv
from models.tiny import SMALL, Sentences, difference, make, sentences
from qkv.nn.attention import Attend
from qkv.nn.scores import Weigh

KINDS = {
    name: SMALL[name]
    for name in (
        "rnn-tiny",
        "bahdanau-tiny",
        "luong-tiny",
        "transformer-tiny",
        "transformer pre_norm=True",
        "transformer positions=learned",
    )
}
both_families = pytest.mark.parametrize("small", KINDS.values(), ids=KINDS)
attentive = pytest.mark.parametrize("small", [KINDS[n] for n in KINDS if n != "rnn-tiny"], ids=[*KINDS][1:])
seeds, lengths = st.integers(0, 2**32), st.lists(st.integers(1, 8), min_size=1, max_size=4).map(tuple)
examples = settings(max_examples=8)


def draw(small: Any, seed: int, lengths: tuple[int, ...], n_target: int = 6) -> tuple[Any, Sentences]:
    torch.manual_seed(seed)
    return make(small), sentences(small.cfg, lengths, n_target)


@both_families
@examples
@given(seed=seeds, lengths=lengths, at=st.integers(1, 5))
def test_nothing_leaks_from_the_future(small, seed, lengths, at):
    net, batch = draw(small, seed, lengths)
    before, target = net(*batch), batch.target.clone()
    target[:, at:] = (target[:, at:] - 3) % 20 + 4
    after = net(batch.source, target, batch.source_mask)
    assert torch.equal(before[:, :at], after[:, :at])
    assert not torch.equal(before[:, at], after[:, at])


@both_families
@examples
@given(seed=seeds, lengths=lengths, left=st.integers(0, 3), right=st.integers(0, 3))
def test_padding_on_either_side_changes_nothing(small, seed, lengths, left, right):
    net, batch = draw(small, seed, lengths)
    shape = (len(lengths), left + max(lengths) + right)
    source, mask = torch.randint(4, 30, shape), torch.zeros(shape, dtype=torch.bool)
    for row, n in enumerate(lengths):
        source[row, left : left + n], mask[row, left : left + n] = batch.source[row, :n], True
    assert difference(net(source, batch.target, mask), net(*batch)) <= 2e-6


@both_families
@examples
@given(seed=seeds, lengths=lengths)
def test_a_batch_is_its_rows(small, seed, lengths):
    net, batch = draw(small, seed, lengths)
    rows = [net(batch.source[[i], :n], batch.target[[i]], batch.source_mask[[i], :n]) for i, n in enumerate(lengths)]
    assert difference(torch.cat(rows), net(*batch)) <= 3e-6


@both_families
@examples
@given(seed=seeds, lengths=lengths, beams=st.integers(1, 3))
def test_steps_with_a_cache_equal_one_pass(small, seed, lengths, beams):
    """And `beams` hypotheses of one source, which share its keys, equal as many rows with a copy each."""
    net, batch = draw(small, seed, lengths)
    target = torch.randint(4, 27, (beams * len(lengths), 6))
    whole = net(batch.source.repeat_interleave(beams, 0), target, batch.source_mask.repeat_interleave(beams, 0))
    state = net.start(batch.source, batch.source_mask, beams=beams, room=6)
    steps = torch.stack([net.step(ids, state) for ids in target.unbind(1)], 1)
    assert difference(steps, whole) <= 2e-6


@both_families
@examples
@given(seed=seeds, data=st.data())
def test_rows_may_be_chosen_again_at_any_step(small, seed, data):
    """As a beam does: some rows go, some double, sources leave; what follows is as if nothing else had been there."""
    net, batch = draw(small, seed, (5, 3, 7))
    target = torch.randint(4, 27, (6, 6))
    state = net.start(batch.source, batch.source_mask, beams=2, room=6)
    sources, rows = torch.arange(3), torch.arange(6)
    written = target[:, :0]
    for i in range(6):
        written = torch.cat((written, target[rows, i : i + 1]), 1)
        logits = net.step(written[:, -1], state)
        each = sources.repeat_interleave(2)
        assert difference(logits, net(batch.source[each], written, batch.source_mask[each])[:, -1]) <= 2e-6
        keep = torch.tensor(sorted(data.draw(st.sets(st.sampled_from(range(len(sources))), min_size=1))))
        beams = torch.tensor([2 * k + data.draw(st.integers(0, 1)) for k in keep.tolist() for _ in range(2)])
        state = state.pick(beams, keep if len(keep) < len(sources) else None)
        sources, rows, written = sources[keep], rows[beams], written[beams]


@attentive
@examples
@given(seed=seeds, lengths=lengths)
def test_the_maps_shown_are_those_used(small, seed, lengths):
    net, batch = draw(small, seed, lengths)
    used: list[tuple[torch.Tensor, torch.Tensor]] = []

    def listen(seat: torch.nn.Module, given: tuple, made: Any) -> None:
        used.append((given[2], made) if isinstance(seat, Attend) else (given[1][:, None], made[0][:, None]))

    hooks = [m.register_forward_hook(listen) for m in net.modules() if isinstance(m, Attend | Weigh)]
    with qkv.look(net) as seen:
        net(*batch)
    for hook in hooks:
        hook.remove()
    shown = [seen.weights(spec.layer, spec.kind, spec.query_stream) for spec in seen.maps]
    if seen.maps[0].steps:
        shown = list(shown[0].split(1, 2))
    for weights, (values, mixed) in zip(shown, used, strict=True):
        torch.testing.assert_close(weights @ values, mixed, rtol=2e-6, atol=2e-6)


@attentive
@examples
@given(seed=seeds, lengths=lengths)
def test_rows_sum_to_one_and_padding_gets_nothing(small, seed, lengths):
    net, batch = draw(small, seed, lengths)
    with qkv.look(net) as seen:
        net(*batch)
    for spec in seen.maps:
        weights = seen.weights(spec.layer, spec.kind, spec.query_stream)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]), rtol=0, atol=2e-6)
        hidden = ~batch.source_mask if spec.key_stream == "source" else torch.zeros(len(lengths), 6, dtype=torch.bool)
        assert weights.movedim(-1, 1)[hidden].eq(0).all()
        if spec.kind == "self" and spec.query_stream == "target":
            assert weights.triu(1).eq(0).all()


@both_families
@examples
@given(seed=seeds)
def test_a_source_of_padding_alone_gives_zeros_and_finite_gradients(small, seed):
    net, batch = draw(small, seed, (5, 3))
    mask = batch.source_mask.clone()
    mask[1] = False
    with qkv.look(net) as seen:
        logits = net(batch.source, batch.target, mask)
    assert logits.isfinite().all()
    for spec in seen.maps:
        if spec.key_stream == "source":
            assert seen.weights(spec.layer, spec.kind, spec.query_stream)[1].eq(0).all()
    torch.testing.assert_close(logits[:1], net(*(part[:1] for part in batch)), rtol=0, atol=3e-6)
    grads = torch.autograd.grad(logits.square().sum(), list(net.parameters()))
    assert all(grad.isfinite().all() for grad in grads)


@pytest.mark.parametrize("pre_norm", [False, True])
@examples
@given(seed=seeds, order=st.permutations(range(7)))
def test_an_encoder_without_positions_is_equivariant_and_its_mean_invariant(pre_norm, seed, order):
    """The lectures' erratum: not "invariant", but only after pooling. With positions it is neither."""
    torch.manual_seed(seed)
    net = make(SMALL["transformer-tiny"], pre_norm=pre_norm)
    x = torch.randn(2, 7, net.cfg.d_model)
    there, here = net.encoder(x[:, order]), net.encoder(x)
    assert difference(there, here[:, order]) <= 2e-6
    assert difference(there.mean(1), here.mean(1)) <= 2e-6
    ids, mask = torch.randint(4, 30, (2, 7)), torch.ones(2, 7, dtype=torch.bool)
    if list(order) != list(range(7)):
        assert difference(net.encode(ids[:, order], mask), net.encode(ids, mask)[:, order]) > 1e-3
