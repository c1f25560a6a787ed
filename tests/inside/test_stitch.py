"""A decode is seen as what it wrote: step by step, beam by beam, each key copied once."""

import pytest
import torch

import qkv
from inside.exact import exact, prompts
from models.tiny import SMALL, Sentences, difference, make, make_lively, sentences
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.generation.engine import generate

DECODERS = {name: SMALL[name] for name in ("gpt-tiny", "llama-tiny")}
decoders = pytest.mark.parametrize("small", DECODERS.values(), ids=DECODERS)
GPT, LLAMA = DECODERS.values()


@decoders
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("chunk", [None, 1, 3])
@torch.inference_mode()
def test_a_decode_is_stitched_to_what_it_wrote(small, beams, chunk):
    """Prompts are padded and may be read in pieces; rows of beams move, prompts that are done leave."""
    net, (ids, mask) = make_lively(small), prompts(small)
    rooms = [6, 2, 5]
    with qkv.look(net) as seen:
        found = generate(net, ids, mask, room=rooms, beams=beams, chunk=chunk, end_ids=())
    assert [len(one.ids) for one in found] == rooms
    for i, one in enumerate(found):
        n_padding = int((~mask[i]).sum())
        whole = torch.cat((ids[i, n_padding:], torch.tensor(one.ids[:-1])))
        with qkv.look(net) as forced:
            net(whole[None])
        for spec in seen.maps:
            weights = seen.stitched(one.rows, spec.layer)
            assert weights[:, :, :n_padding].eq(0).all()
            assert difference(weights[:, n_padding:, n_padding:], forced.weights(spec.layer)[0]) <= 1e-5
            entropy = seen.entropy(spec.layer, rows=one.rows)[..., n_padding:]
            assert difference(entropy, forced.entropy(spec.layer)) <= 1e-5
    with pytest.raises(UnsupportedError, match=r"say whose, rows=hypothesis\.rows"):
        seen.weights(0)


@decoders
@torch.inference_mode()
def test_of_a_decode_only_new_keys_are_copied(small):
    net, (ids, mask) = make_lively(small), prompts(small)
    with qkv.look(net, values=True) as seen:
        (one,) = generate(net, ids[2:], mask[2:], room=9, end_ids=())
    for track in seen._tracks.values():
        steps = track.run().steps
        assert [step.k.size(2) for step in steps] == [7, *[1] * 8] == [step.v.size(2) for step in steps]
        assert all(step.k.untyped_storage().nbytes() == step.k.nbytes for step in steps[1:])
    assert seen.call(0).shape == (1, 4, 15, 15)
    assert torch.equal(seen.weights(1)[0], seen.stitched(one.rows, 1)), "of one row nothing needs to be said"
    assert seen.values(1).shape[2] == 15
    with qkv.look(net, facts=["entropy", "received"]) as facts:
        generate(net, ids[2:], mask[2:], room=9, end_ids=())
    assert difference(facts.entropy(1), seen.entropy(1)) <= 1e-6
    assert difference(facts.received(1), seen.received(1)) <= 1e-6


@pytest.mark.parametrize("name", ["transformer-tiny", "bahdanau-tiny", "luong-tiny"])
@pytest.mark.parametrize("beams", [1, 2])
@torch.inference_mode()
def test_keys_of_sources_are_kept_once(name, beams):
    """Though sources leave as they are done: what is left of them is found again among those that were there."""
    net = make_lively(SMALL[name])
    batch = sentences(net.cfg)
    with qkv.look(net, kinds=["cross"], values=True) as seen:
        found = generate(net, batch.source, batch.source_mask, room=[2, 7, 4], beams=beams, end_ids=())
    steps = seen._tracks[seen.maps[-1]].run().steps
    assert len(steps) == 7 and all(step.k is None for step in steps[1:])
    assert steps[0].sources == (0, 1, 2) and steps[-1].sources == (1,)
    for i, one in enumerate(found):
        target = torch.tensor([[net.cfg.start_id, *one.ids[:-1]]])
        forced = exact(net, (batch.source[[i]], target, batch.source_mask[[i]]))
        for spec in seen.maps:
            if spec.kind == "cross":
                assert difference(seen.stitched(one.rows, spec.layer), forced[spec][0]) <= 1e-5
                memory = seen.values(spec.layer, rows=one.rows)
                assert memory.size(0) == 1 and memory.size(2) == batch.source.size(1)


@torch.inference_mode()
def test_a_decoder_is_itself_again_after_a_look():
    net = make(GPT)
    assert "begin" not in vars(net)
    with qkv.look(net), pytest.raises(ConfigError):
        generate(net, *prompts(GPT), room=2, beams=0)
    assert "begin" not in vars(net)


def test_two_decodes_are_two_passes():
    net, (ids, mask) = make_lively(GPT), prompts(GPT)
    with qkv.look(net) as seen:
        for _ in range(2):
            generate(net, ids, mask, room=3, end_ids=())
    with pytest.raises(UnsupportedError, match="2 passes were seen"):
        seen.stitched([0, 0, 0], 0)
    transformer = make_lively(SMALL["transformer-tiny"])
    batch = sentences(transformer.cfg)
    with qkv.look(transformer) as seen:
        for _ in range(2):
            generate(transformer, batch.source, batch.source_mask, room=3, end_ids=())
    for kind in ("self", "cross"):
        with pytest.raises(UnsupportedError, match="2 passes were seen"):
            seen.stitched([0, 0, 0], 0, kind)


def test_the_source_and_the_target_are_told_apart():
    net, batch = make(SMALL["transformer-tiny"]), sentences(SMALL["transformer-tiny"].cfg)
    assert isinstance(batch, Sentences)
    with qkv.look(net) as seen:
        net(*batch)
    assert seen.weights(0).shape == (3, 4, 6, 7), "the cross-attention, unless asked otherwise"
    assert seen.weights(0, "self").shape == (3, 4, 6, 6), "the target's, unless asked otherwise"
    assert seen.weights(0, "self", "source").shape == (3, 4, 7, 7)
