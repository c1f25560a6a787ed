import threading

import pytest
import torch
from torch import nn

import qkv
from models.tiny import SMALL, make, sentences
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.nn.attention import Attend

TINY = SMALL["transformer-tiny"]


def hooks(net: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in net.modules())


def test_hooks_sit_only_inside_the_block_even_after_an_error():
    net = make(TINY)
    with pytest.raises(KeyboardInterrupt), qkv.look(net):
        assert hooks(net) == 6
        raise KeyboardInterrupt
    assert hooks(net) == 0
    with qkv.look(net):
        pass


def test_only_the_kinds_asked_for_are_kept():
    net = make(TINY)
    with qkv.look(net, kinds=("cross",)) as seen:
        assert hooks(net) == 2
        net(*sentences(net.cfg))
    assert seen.weights(1).shape == (3, 4, 6, 7)
    with pytest.raises(ConfigError, match=r"No self map of layer 0 .* were: target cross 0, target cross 1"):
        seen.weights(0, "self")


def test_a_map_that_is_not_there_is_named_with_those_that_are():
    net = make(SMALL["rnn-tiny"])
    with qkv.look(net) as seen:
        net(*sentences(net.cfg))
    with pytest.raises(ConfigError, match="No such map of layer 0 was seen; seen were: none"):
        seen.weights(0)


def test_a_net_in_training_is_refused():
    with pytest.raises(UnsupportedError, match=r"call net\.eval\(\)"), qkv.look(make(TINY).train()):
        pass


def test_one_look_at_a_time():
    net = make(TINY)
    refused = []

    def second() -> None:
        with pytest.raises(UnsupportedError, match="close it first"), qkv.look(net):
            pass
        refused.append(True)

    with qkv.look(net):
        other = threading.Thread(target=second)
        other.start()
        other.join()
    assert refused == [True]


def test_a_net_of_no_family_is_refused_and_leaves_the_way_free():
    with pytest.raises(ConfigError, match="Linear is no net"), qkv.look(nn.Linear(1, 1).eval()):
        pass
    with qkv.look(make(TINY)):
        pass


def test_a_look_may_begin_after_the_sources_were_read():
    """Maps are told by the seat, not by who comes first."""
    net = make(TINY)
    batch = sentences(net.cfg)
    with qkv.look(net) as whole:
        net(*batch)
    state = net.start(batch.source, batch.source_mask, beams=1, room=6)
    with qkv.look(net) as late:
        net.step(batch.target[:, 0], state)
    for layer in (0, 1):
        torch.testing.assert_close(late.weights(layer), whole.weights(layer)[:, :, :1], rtol=0, atol=2e-6)
    with pytest.raises(ConfigError, match="No source self map"):
        late.weights(0, "self", "source")


def test_two_passes_are_not_shown_as_one():
    net = make(TINY)
    with qkv.look(net) as seen:
        net(*sentences(net.cfg))
        net(*sentences(net.cfg))
    with pytest.raises(UnsupportedError, match="2 passes were seen"):
        seen.weights(0)


@torch.inference_mode()
def test_what_was_seen_stays_when_the_cache_changes():
    net = make(TINY)
    batch = sentences(net.cfg)
    state = net.start(batch.source, batch.source_mask, beams=1, room=4)
    with qkv.look(net) as seen:
        for ids in batch.target[:, :4].unbind(1):
            net.step(ids, state)
    shown = [seen.stitched([0] * 4, layer, kind).clone() for layer in (0, 1) for kind in ("self", "cross")]
    for cache in state.caches:
        for part in (*cache.past, *cache.source):
            part.fill_(9.0)
    after = [seen.stitched([0] * 4, layer, kind) for layer in (0, 1) for kind in ("self", "cross")]
    assert all(torch.equal(a, b) for a, b in zip(after, shown, strict=True))
    assert shown[0].shape == (4, 4, 4) and shown[0].triu(1).eq(0).all()


def test_compiled_parts_are_seen_too():
    """Hooks inside compiled modules are ignored in silence, so these run eagerly while somebody looks."""
    net = make(TINY)
    batch = sentences(net.cfg)
    with qkv.look(net) as eager:
        logits = net(*batch)

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]):
        raise RuntimeError("compiled while somebody looked")

    for block in (*net.encoder.blocks, *net.decoder.blocks):
        block.compile(backend=backend, fullgraph=True)
    with qkv.look(net) as compiled:
        assert torch.equal(net(*batch), logits)
    for spec in eager.maps:
        where = (spec.layer, spec.kind, spec.query_stream)
        assert torch.equal(eager.weights(*where), compiled.weights(*where))


def test_heads_can_be_taken_away_at_the_seats():
    """The seats are the one place to change what attention gathers: a hook there replaces the output."""
    net = make(TINY)
    batch = sentences(net.cfg)
    seat = net.decoder.blocks[0].cross.attend
    assert isinstance(seat, Attend)
    before = net(*batch)
    hook = seat.register_forward_hook(lambda *call: call[2].index_fill(1, torch.tensor(2), 0.0))
    without = net(*batch)
    hook.remove()
    out = net.decoder.blocks[0].cross.out
    with torch.no_grad():
        out.weight[:, 8:12] = 0.0
    torch.testing.assert_close(without, net(*batch), rtol=0, atol=2e-6)
    assert not torch.equal(without, before)


def test_a_choice_of_no_heads_is_refused():
    net = make(SMALL["bert-tiny"])
    with pytest.raises(ConfigError, match="name one at least"), qkv.look(net, heads=[]):
        pass
