"""What must hold for every family: each size, and each option of its configuration, made small."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import qkv
from models.tiny import SMALL, Sentences, batch_for, make, make_lively, n_tokens, outputs
from qkv.models import FAMILIES, family_of
from qkv.models.family import Decoder, EncoderDecoder, MapSpec
from qkv.nn.attention import Attend
from qkv.nn.embed import fill_buffers
from qkv.nn.scores import Weigh

every_model = pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)


@every_model
def test_forward_says_something_of_each_row(small):
    net, batch = make(small), batch_for(small)
    out = net(*batch)
    if isinstance(batch, Sentences):
        assert out.shape == (3, 6, getattr(small.cfg, "target_vocab_size", None) or small.cfg.vocab_size)
    assert out.size(0) == 3 and out.isfinite().all() and out.std(-1).min() > 0
    assert family_of(net) is small.family


@every_model
def test_every_parameter_gets_a_gradient(small):
    net, batch = make(small).train(), batch_for(small)
    sum(out.sin().log_softmax(-1)[..., 0].sum() for out in outputs(net, batch)).backward()  # type: ignore[union-attr]
    without = [
        n for n, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    assert not without


@every_model
def test_products_in_bf16_give_nearly_the_same(small):
    """As a training in bf16 computes: weights stay in fp32, and each has a finite gradient."""
    net, batch = make_lively(small, std=0.2).train(), batch_for(small)
    with torch.autocast("cpu", torch.bfloat16):
        found = outputs(net, batch)
    for out, wanted in zip(found, outputs(net, batch), strict=True):
        assert 0 < (out.float() - wanted).norm() / wanted.norm() <= 5e-2
    grads = torch.autograd.grad(sum(out.float().square().sum() for out in found), list(net.parameters()))  # type: ignore[arg-type]
    assert all(grad.isfinite().all() and grad.dtype == torch.float32 for grad in grads)


@every_model
def test_a_saved_state_is_the_same_net(small, tmp_path):
    net, other, batch = make(small), make(small), batch_for(small)
    save_file(net.state_dict(), tmp_path / "model.safetensors")
    assert not torch.equal(net(*batch), other(*batch))
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert torch.equal(net(*batch), other(*batch))


@every_model
def test_a_deep_copy_is_equal_and_apart(small):
    net, batch = make(small), batch_for(small)
    before, twin = net(*batch), copy.deepcopy(net)
    assert torch.equal(twin(*batch), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(2)
    assert torch.equal(net(*batch), before) and not torch.equal(twin(*batch), before)


@every_model
def test_looking_changes_no_bit(small):
    net, batch = make(small), batch_for(small)
    fast = net(*batch)
    with qkv.look(net) as seen:
        looked = net(*batch)
    assert torch.equal(fast, looked) and torch.equal(fast, net(*batch))
    assert seen.maps == small.family.maps(small.cfg)


@every_model
def test_the_maps_seen_are_those_the_family_lists(small):
    net, batch = make(small), batch_for(small)
    n, specs = n_tokens(small, batch), small.family.maps(small.cfg)
    shapes = [shape_of(spec, n) for spec in specs]
    with qkv.look(net) as seen:
        net(*batch)
    for spec, (rows, n_queries, n_keys) in zip(specs, shapes, strict=True):
        weights = seen.weights(spec.layer, spec.kind, spec.query_stream)
        assert weights.shape == (3 * rows, spec.heads, n_queries, n_keys)
    assert calls_of_seats(net, batch) == [
        (spec.heads, 1 if spec.steps else n_queries, n_keys)
        for spec, (_, n_queries, n_keys) in zip(specs, shapes, strict=True)
        for _ in range(n["target"] if spec.steps else 1)
    ]


def shape_of(spec: MapSpec, n: dict[str, int]) -> tuple[int, int, int]:
    """Return how many rows of the batch one input makes, and how many queries and keys each has."""
    if spec.window is None or spec.grid is None:
        return 1, n[spec.query_stream], n[spec.key_stream]
    n_places = spec.window[0] * spec.window[1]
    rows = [-(-side // window) for side, window in zip(spec.grid, spec.window, strict=True)]
    return rows[0] * rows[1], n_places, n_places


def calls_of_seats(net: nn.Module, batch: tuple) -> list[tuple[int, int, int]]:
    """Run the net and return (heads, queries, keys) of every call of a seat, in order, without the help of `look`."""
    calls, hooks = [], []
    for module in net.modules():
        if isinstance(module, Attend):
            hooks.append(
                module.register_forward_hook(lambda _, x, y: calls.append((x[0].size(1), x[0].size(2), x[1].size(2))))
            )
        elif isinstance(module, Weigh):
            hooks.append(module.register_forward_hook(lambda _, x, y: calls.append((1, x[0].size(1), x[0].size(2)))))
    net(*batch)
    for hook in hooks:
        hook.remove()
    return calls


@every_model
@pytest.mark.parametrize("assign", [False, True])
def test_built_on_meta_and_filled_is_the_net_built_directly(small, assign):
    net, batch = make(small), batch_for(small)
    with torch.device("meta"):
        late = small.family.net(small.cfg).eval()
    assert {tensor.device.type for tensor in (*late.parameters(), *late.buffers())} == {"meta"}
    if not assign:
        late = late.to_empty(device="cpu")
    late.load_state_dict(net.state_dict(), assign=assign)
    fill_buffers(late)
    assert [(n, t.dtype) for n, t in late.named_buffers()] == [(n, t.dtype) for n, t in net.named_buffers()]
    assert torch.equal(late(*batch), net(*batch))


@every_model
def test_built_on_meta_it_takes_the_type_of_its_file(small):
    """A file of half precision makes a net of half precision, tables too."""
    net, batch = make(small).to(torch.bfloat16), batch_for(small)
    with torch.device("meta"):
        late = small.family.net(small.cfg).eval()
    late.load_state_dict(net.state_dict(), assign=True)
    fill_buffers(late)
    assert {tensor.dtype for tensor in late.buffers() if tensor.is_floating_point()} <= {torch.bfloat16}
    assert torch.equal(late(*batch), net(*batch))


def test_one_graph_per_kind_of_block():
    """Each kind of block makes one graph, whatever their number; what decodes makes one more with a cache.

    Kinds: an encoder's and a decoder's block; Swin's, one per stage and shift; DeBERTa's first with a convolution.
    """
    folder = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": str(folder.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error", folder / "graphs.py"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    planted = counts.pop("planted")
    for name, found in counts.items():
        family, cfg = SMALL[name]
        net: Any = family.net
        kinds = {(spec.grid, spec.heads, spec.shift) for spec in family.maps(cfg)}
        n_kinds = 2 if issubclass(net, EncoderDecoder) else len(kinds) + bool(getattr(cfg, "conv_width", None))
        wanted = (n_kinds, int(issubclass(net, EncoderDecoder | Decoder)))
        assert (found["pass"], found["cached"]) == wanted, (name, found)
    assert max(found["difference"] for found in counts.values()) <= 2e-6
    assert {SMALL[name].family.name for name in counts} == set(FAMILIES)
    assert planted["pass"] == 2, "two encoder blocks that read their number make two graphs of one kind"
