"""What was seen equals what ran: every map and fact of every family, of whole passes and of decodes step by step."""

from typing import Any

import pytest
import torch
from torch import Tensor

import qkv
from inside.exact import exact, prompts
from models.tiny import SMALL, batch_for, difference, make, sentences
from ops.squares import Largest
from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.generation.engine import generate
from qkv.inside.seats import find_seats
from qkv.nn.ragged import encode_ragged
from qkv.ops.tiles import ROWS, Scored
from qkv.ops.windows import find_windows

FIRST = {small.family.name: small for small in reversed(SMALL.values())}
every_model = pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
every_family = pytest.mark.parametrize("small", FIRST.values(), ids=FIRST)
DECODERS = {name: SMALL[name] for name in ("gpt-tiny", "llama-tiny")}
decoders = pytest.mark.parametrize("small", DECODERS.values(), ids=DECODERS)
GPT, LLAMA, VIT, SWIN = (SMALL[n] for n in ("gpt-tiny", "llama-tiny", "vit-tiny-patch16-224", "swin-digits"))


@every_model
def test_maps_and_facts_are_those_of_the_exact_weights(small):
    net, batch = make(small), batch_for(small)
    with qkv.look(net) as seen:
        net(*batch)
    wanted = exact(net, batch)
    assert [*wanted] == list(seen.maps) and seen.summarise(["entropy"]).keys() == wanted.keys()
    for spec, a in wanted.items():
        where = (spec.layer, spec.kind, spec.query_stream)
        t, s = a.shape[2:]
        assert difference(seen.weights(*where), a) <= 1e-5
        assert difference(seen.entropy(*where), -torch.special.xlogy(a, a).sum(-1)) <= 1e-5
        assert difference(seen.received(*where), a.sum(2)) <= 1e-5
        assert difference(seen.top(*where, k=3)[0], a.topk(3).values) <= 1e-5
        assert (
            difference(seen.distance(*where), (a * (torch.arange(t)[:, None] - torch.arange(s)).abs()).sum(-1)) <= 1e-5
        )
        marked = torch.rand(s) > 0.5
        assert difference(seen.mass(marked, *where), a[..., marked].sum(-1)) <= 1e-5
        assert difference(seen.rows([1, 0], *where), a[:, :, [1, 0]]) <= 1e-5
        assert difference(seen.block(slice(1, 3), slice(2), *where), a[:, :, 1:3, :2]) <= 1e-5
        assert seen.pooled((3, 2), *where).shape == (*a.shape[:2], min(3, t), min(2, s))


@every_family
def test_in_fp64_nothing_is_lost(small):
    net, batch = make(small, dtype=torch.float64), batch_for(small)
    batch = type(batch)(*(x.double() if x.is_floating_point() else x for x in batch))
    with qkv.look(net) as seen:
        net(*batch)
    for spec, a in exact(net, batch).items():
        where = (spec.layer, spec.kind, spec.query_stream)
        assert difference(seen.weights(*where), a) <= 1e-12
        assert difference(seen.entropy(*where), -torch.special.xlogy(a, a).sum(-1)) <= 1e-12
        assert difference(seen.received(*where), a.sum(2)) <= 1e-12


@every_family
def test_weights_values_and_the_last_product_are_the_modules_own_output(small):
    net, batch = make(small), batch_for(small)
    made: dict[Any, Tensor] = {}
    seats: list[Any] = [seat for seat in find_seats(net) if seat.attention is not None]
    hooks = [
        seat.attention.out.register_forward_hook(lambda _, x, y, s=seat: made.update({s.spec: y})) for seat in seats
    ]
    with qkv.look(net, values=True) as seen:
        net(*batch)
    for hook in hooks:
        hook.remove()
    for seat in seats:
        where = (seat.spec.layer, seat.spec.kind, seat.spec.query_stream)
        weights, v = seen.weights(*where), seen.values(*where)
        mixed = weights @ v.repeat_interleave(weights.size(1) // v.size(1), 1)
        assert difference(seat.attention.out(mixed.transpose(1, 2).flatten(2)), made[seat.spec]) <= 1e-5


@every_family
def test_facts_at_once_are_those_of_what_is_kept_and_nothing_else_is(small):
    net, batch = make(small), batch_for(small)
    with qkv.look(net) as kept:
        net(*batch)
    with qkv.look(net, facts={"entropy": None, "received": None, "top": 2}) as seen:
        net(*batch)
    for spec in kept.maps:
        where = (spec.layer, spec.kind, spec.query_stream)
        if not spec.steps:
            assert torch.equal(seen.entropy(*where), kept.entropy(*where))
            assert torch.equal(seen.received(*where, head=0), kept.received(*where, head=0))
            assert torch.equal(seen.top(*where)[1], kept.top(*where, k=2)[1])
        with pytest.raises(UnsupportedError, match="Only entropy, received, top were kept"):
            seen.weights(*where)
    assert not any(run.steps for track in seen._tracks.values() for run in track.runs)


@decoders
@pytest.mark.parametrize("heads", [[0], [3, 1], [0, 1, 2, 3]])
def test_few_heads_of_few_layers_are_the_same_heads(small, heads):
    """With grouped keys, each head brings those that it shares."""
    net, batch = make(small), batch_for(small)
    with qkv.look(net) as whole:
        net(*batch)
    with qkv.look(net, layers=[1], heads=heads) as seen:
        net(*batch)
    assert seen.call(1).shape[1] == len(heads)
    for head in heads:
        assert difference(seen.weights(1, head=head), whole.weights(1, head=head)) <= 1e-6
        assert difference(seen.entropy(1, head=head), whole.entropy(1)[:, head]) <= 1e-6
    with pytest.raises(ConfigError, match="No such map of layer 0 was seen"):
        seen.weights(0)
    if len(heads) < 4:
        with pytest.raises(ConfigError, match=r"Head 2 of layer 1 was not watched; there are \["):
            seen.entropy(1, head=2)


def test_bias_and_masks_go_with_their_heads():
    for small in (SMALL["deberta-v3-base"], SWIN):
        net, batch = make(small), batch_for(small)
        with qkv.look(net) as whole:
            net(*batch)
        with qkv.look(net, heads=[1]) as seen:
            net(*batch)
        for spec in whole.maps:
            assert difference(seen.weights(spec.layer), whole.weights(spec.layer)[:, 1:2]) <= 1e-6


def test_halves_are_near():
    net, batch = make(GPT), batch_for(GPT)
    with qkv.look(net) as whole:
        net(*batch)
    with qkv.look(net, keep="fp16") as seen:
        net(*batch)
    call = seen.call(1)
    assert isinstance(call, Scored) and call.q.dtype == call.k.dtype == torch.float16
    assert 0 < difference(seen.weights(1), whole.weights(1)) <= 5e-3


def test_texts_without_padding_are_apart():
    small = SMALL["bert-tiny"]
    net = make(small)
    batch: Any = batch_for(small)
    with qkv.look(net) as ragged:
        encode_ragged(net, *batch)
    with qkv.look(net) as padded:
        net.encode(*batch)
    weights = ragged.weights(1)
    lengths = batch.mask.sum(1).tolist()
    for row, (start, n) in enumerate(zip((0, 5, 8), lengths, strict=True)):
        own = weights[0, :, start : start + n]
        assert difference(own[..., start : start + n], padded.weights(1)[row, :, :n, :n]) <= 1e-5
        assert own.sum() == pytest.approx(4 * n, abs=1e-4)


@pytest.mark.parametrize("name", ["swin-digits", "swin-tiny-patch4-window7-224", "swin shift_first=True"])
def test_windows_are_put_back_where_they_were_cut(name):
    """Each place sees those of its window; the shift lets windows go round the rim."""
    small = SMALL[name]
    net, batch = make(small), batch_for(small)
    with qkv.look(net) as seen:
        net(*batch)
    for spec in seen.maps:
        windows = find_windows(spec.grid, spec.window, spec.shift, spec.window, shift_first=small.cfg.shift_first)
        places, n = seen.cut_of[spec].places, spec.grid[0] * spec.grid[1]
        assert torch.equal(places, windows.index.where(windows.index < n, -1))
        weights = seen.weights(spec.layer).unflatten(0, (3, -1))
        for place in (0, n // 2, n - 1):
            shown = seen.picture_map(spec.layer, place, picture=2)
            assert shown.shape == (spec.heads, *spec.grid)
            window, inside = (places == place).nonzero()[0].tolist()
            wanted = torch.zeros(spec.heads, n)
            for key, weight in zip(places[window].tolist(), weights[2, window, :, inside].unbind(1), strict=True):
                if key >= 0:
                    wanted[:, key] = weight
            assert difference(shown.flatten(1), wanted) <= 1e-6 and shown.sum() > 0
    for wrong, told in (({"place": 1, "grid": (9, 9)}, r"a map of \(9, 9\)"), ({"place": 9999}, "place 9999")):
        with pytest.raises(ConfigError, match=rf"sees a map of \(\d+, \d+\) places, .* it has not {told}"):
            seen.picture_map(0, **wrong)


def test_a_picture_map_leaves_out_what_is_no_patch():
    net, batch = make(VIT), batch_for(VIT)
    with qkv.look(net) as seen:
        net(*batch)
    shown = seen.picture_map(1, 0, picture=1)
    assert shown.shape == (4, 6, 5) and not seen.cut_of
    assert difference(shown.flatten(1), seen.weights(1)[1, :, 0, 1:]) <= 1e-6
    for ask in (lambda: seen.rows([0, 31], 0), lambda: seen.rows([-1], 0), lambda: seen.picture_map(0, 31)):
        with pytest.raises(ShapeError, match=r"no query (31|-1): here are queries 0 to 30"):
            ask()


@pytest.mark.parametrize("name", ["bert-tiny", "gpt-tiny", "llama-tiny", "vit-tiny-patch16-224"])
@pytest.mark.parametrize("at_once", [True, False])
@torch.inference_mode()
def test_a_long_input_makes_no_square(name, at_once):
    n, small, asked = 4096, SMALL[name], ["entropy", "received", "top"]
    if name.startswith("vit"):
        net, batch = make(small, picture_size=(256, 256), n_layers=1), (torch.rand(1, 3, 256, 256),)
    else:
        net, batch = make(small, max_len=n, n_layers=1), (torch.randint(4, 30, (1, n)),)
    with Largest() as made, qkv.look(net, facts=asked if at_once else ()) as seen:
        net.encode(*batch)
        for fact in (seen.entropy, seen.received, seen.top):
            fact(0)
        if not at_once:
            seen.rows([5, 6], 0)
    assert ROWS <= made.second < n
    assert seen.entropy(0).shape[-1] >= n


def test_what_cannot_be_told_is_refused():
    net, batch = make(GPT), batch_for(GPT)
    with pytest.raises(ConfigError, match="sharpness: no fact has this name"), qkv.look(net, facts=["sharpness"]):
        pass
    with (
        pytest.raises(ConfigError, match=r"Layers \[2\] are not in this net; the last is 1"),
        qkv.look(net, layers=[1, 2]),
    ):
        pass
    with pytest.raises(ConfigError, match="there is no head 4"), qkv.look(net, heads=[0, 4]):
        pass
    with qkv.look(net) as seen:
        net(*batch)
    with pytest.raises(UnsupportedError, match="Values were not kept"):
        seen.values(0)
    with qkv.look(net, facts={"entropy": None, "pooled": (2, 2)}) as seen:
        generate(net, *prompts(GPT), room=3, end_ids=())
    with pytest.raises(UnsupportedError, match="of several hypotheses are not kept"):
        seen.entropy(0)
    rnn = make(SMALL["bahdanau-tiny"])
    with qkv.look(rnn) as seen:
        rnn(*sentences(rnn.cfg))
    with pytest.raises(UnsupportedError, match="came without scores"):
        seen.logsumexp(0)
