"""Heads switched off, down and over to their mean while a net runs, and what each of them is worth."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

import qkv
from models.tiny import SMALL, batch_for, difference, make, make_lively, sentences
from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.inside.seats import find_seats
from qkv.inside.surgery import edit_heads, importance, mean_outputs

WITH_HEADS = {name: small for name, small in SMALL.items() if small.family.name != "seq2seq"}
ONE_EACH = ("transformer-tiny", "bert-tiny", "deberta-v3-base", "gpt-tiny", "llama-tiny", "vit-digits", "swin-digits")
BERT, TRANSFORMER = SMALL["bert-tiny"], SMALL["transformer-tiny"]
every_family = pytest.mark.parametrize("small", [SMALL[name] for name in ONE_EACH], ids=ONE_EACH)


def columns_gone(net: Any, spec: Any, head: int) -> None:
    """Delete the columns of W_O that read a head."""
    seat = next(seat for seat in find_seats(net) if seat.spec == spec)
    assert seat.attention is not None
    width = seat.attention.out.in_features // spec.heads
    with torch.no_grad():
        seat.attention.out.weight[:, head * width : (head + 1) * width] = 0.0


@pytest.mark.parametrize("small", WITH_HEADS.values(), ids=WITH_HEADS)
def test_a_head_at_zero_is_a_head_whose_columns_of_the_last_product_are_gone(small):
    net, batch = make_lively(small), batch_for(small)
    before, spec = net(*batch), small.family.maps(small.cfg)[-1]
    for head in (0, spec.heads - 1):
        with edit_heads(net, {(spec.layer, head): 0.0}, kind=spec.kind, stream=spec.query_stream):
            without = net(*batch)
        assert torch.equal(net(*batch), before) and difference(without, before) > 1e-4
        twin = make_lively(small)
        twin.load_state_dict(net.state_dict())
        columns_gone(twin, spec, head)
        assert difference(without, twin(*batch)) <= 1e-6


@torch.inference_mode()
def test_one_leaves_every_bit_and_factors_scale():
    net, batch = make(BERT), batch_for(BERT)
    before, heads = net(*batch), [(layer, head) for layer in (0, 1) for head in range(4)]
    with mean_outputs(net) as means:
        net(*batch)
    for given in (None, means):
        with edit_heads(net, dict.fromkeys(heads, 1.0), means=given):
            assert torch.equal(net(*batch), before)
    with edit_heads(net, {(1, 2): 0.25}):
        scaled = net(*batch)
    net.stack.blocks[1].attention.out.weight[:, 8:12] *= 0.25
    assert difference(scaled, net(*batch)) <= 1e-6 < difference(scaled, before)


@torch.inference_mode()
def test_a_head_moves_to_its_mean():
    net, batch, outputs = make(TRANSFORMER), batch_for(TRANSFORMER), []
    seat = net.decoder.blocks[1].cross.attend
    hook = seat.register_forward_hook(lambda *call: outputs.append(call[2]))
    with mean_outputs(net) as means:
        net(*batch)
        net(*(x[:2] for x in batch))
    wanted = torch.cat([x.transpose(1, 2).flatten(0, 1) for x in outputs]).mean(0)
    (spec,) = (spec for spec in means if (spec.layer, spec.kind) == (1, "cross"))
    torch.testing.assert_close(means[spec], wanted, rtol=0, atol=1e-6)
    hook.remove()
    with edit_heads(net, {(1, 3): 0.0, (1, 0): 0.5}, kind="cross", means=means):
        hook = seat.register_forward_hook(lambda *call: outputs.append(call[2]))
        net(*batch)
        hook.remove()
    x, y = outputs[0], outputs[-1]
    assert torch.equal(x[:, 1:3], y[:, 1:3])
    torch.testing.assert_close(y[:, 3], wanted[3].expand_as(y[:, 3]), rtol=0, atol=1e-6)
    torch.testing.assert_close(y[:, 0], (x[:, 0] + wanted[0]) / 2, rtol=0, atol=1e-6)


@torch.inference_mode()
def test_the_one_head_of_additive_attention_can_be_taken_away():
    small = SMALL["bahdanau-tiny"]
    net, batch = make(small), batch_for(small)
    before = net(*batch)
    with edit_heads(net, {(0, 0): 0.0}), qkv.look(net) as seen:
        without = net(*batch)
    assert difference(without, before) > 1e-2 and seen.weights(0).sum(-1).allclose(torch.tensor(1.0))
    net.decoder.context.weight.zero_()
    net.decoder.readout.context.weight.zero_()
    torch.testing.assert_close(without, net(*batch), rtol=0, atol=1e-6)


def test_compiled_parts_are_edited_too():
    net, batch = make(BERT), batch_for(BERT)
    with edit_heads(net, {(0, 1): 0.0}):
        wanted = net(*batch)

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        raise RuntimeError("compiled while somebody operated")

    for block in net.stack.blocks:
        block.compile(backend=backend, fullgraph=True)
    with edit_heads(net, {(0, 1): 0.0}):
        assert torch.equal(net(*batch), wanted)


def test_what_cannot_be_done_is_refused_and_leaves_no_hook():
    net = make(TRANSFORMER)
    calls = {
        "there are: source self 0 to 1, target self 0 to 1, target cross 0 to 1": {"factors": {(2, 0): 0.0}},
        "No target rotary map of layer 0": {"factors": {(0, 0): 0.0}, "kind": "rotary"},
        r"Layer 1 \(target cross\) has heads 0 to 3; there is no head 4": {"factors": {(0, 0): 0.0, (1, 4): 0.0}},
        "there is no head -1": {"factors": {(1, -1): 0.0}, "stream": "target"},
        "means has nothing of layer 1: run the net inside mean_outputs first": {"factors": {(1, 0): 0.0}, "means": {}},
    }
    for message, call in calls.items():
        with pytest.raises(ConfigError, match=message), edit_heads(net, **call):
            pass
    with pytest.raises(UnsupportedError, match=r"call net\.eval\(\) first"), edit_heads(net.train(), {(0, 0): 0.0}):
        pass
    with pytest.raises(ShapeError, match=r"one loss per example, not a tensor of shape \[\]"):
        importance(net.eval(), lambda batch: net(*batch).sum(), [batch_for(TRANSFORMER)])
    assert not any(seat.module._forward_hooks for seat in find_seats(net))


def losses(net: Any, batch: Any) -> Tensor:
    """One number per example, for any net."""
    return net(*batch).flatten(1).log_softmax(-1)[:, 0]


@every_family
def test_importance_is_the_slope_of_the_loss_in_each_gate(small):
    """Against differences of two runs with the gate a little open and a little shut, in fp64."""
    net, batch = make_lively(small, dtype=torch.float64), batch_for(small)
    batch = tuple(x.double() if x.is_floating_point() else x for x in batch)
    found = importance(net, lambda batch: losses(net, batch), [batch])
    assert list(found) == list(small.family.maps(small.cfg))
    with torch.inference_mode():
        for spec, head in [(one, head) for one in found for head in range(one.heads)]:
            runs = []
            for gate in (1 + 1e-4, 1 - 1e-4):
                with edit_heads(net, {(spec.layer, head): gate}, kind=spec.kind, stream=spec.query_stream):
                    runs.append(losses(net, batch))
            slope = ((runs[0] - runs[1]) / 2e-4).abs().mean().item()
            assert found[spec][head].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)
    assert max(values.max() for values in found.values()) > 1e-2


def test_importance_counts_examples_not_batches():
    net, batch = make_lively(BERT), batch_for(BERT)
    whole = importance(net, lambda batch: losses(net, batch), [batch])
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())
    rows = [tuple(x[i : i + 1] for x in batch) for i in range(3)]
    for spec, values in importance(
        net.requires_grad_(False), lambda batch: losses(net, batch), [rows[0], rows[1]]
    ).items():
        last = importance(net, lambda batch: losses(net, batch), [rows[2]])[spec]
        torch.testing.assert_close((2 * values + last) / 3, whole[spec], rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_importance_ranks_heads_nearly_as_leaving_each_out_does():
    """The oracle: the mean change of the loss without a head, at which a slope is a good guess where heads are weak."""
    net = make_lively(SMALL["gpt-tiny"], std=0.1)
    batch = sentences(net.cfg, lengths=(9, 5, 12, 7, 12, 3))
    ids = (batch.source, batch.source_mask)
    found = importance(net, lambda ids: losses(net, ids), [ids])
    before, guesses, exact = losses(net, ids), [], []
    for (spec, values), head in itertools.product(found.items(), range(4)):
        with edit_heads(net, {(spec.layer, head): 0.0}):
            exact.append((losses(net, ids) - before).abs().mean())
        guesses.append(values[head])
    ranks = torch.stack([torch.stack(x).argsort().argsort().float() for x in (guesses, exact)])
    assert torch.corrcoef(ranks)[0, 1] >= 0.9
