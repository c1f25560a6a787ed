"""Our Transformer is MarianMTModel of transformers: the same numbers, the same files, the same outputs."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import MarianMTModel

from parity.loud import FORWARD, GRADIENT, close, damaged, gradients, ours, saved, streams, written
from parity.marian import TINY, inputs, marian
from qkv.base.errors import WeightsError
from qkv.models.transformer import FAMILY
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

WRONG_ACT = {"silu": "gelu", "relu": "silu", "gelu": "silu"}


def compare(net: Any, reference: Any, dtype: torch.dtype = torch.float32) -> float:
    """Compare the states of every layer, logits and gradients; return the largest error of states and logits."""
    source, mask, target = inputs(reference.config)
    reference.zero_grad()
    net.zero_grad()
    theirs = reference(source, attention_mask=mask, decoder_input_ids=target, output_hidden_states=True)
    read = partial(streams, net.encoder.blocks)
    (logits, decoder), encoder = read(lambda: streams(net.decoder.blocks, lambda: net(source, target, mask)))
    assert len(encoder) == len(theirs.encoder_hidden_states) == net.cfg.n_layers + 1
    assert len(decoder) == len(theirs.decoder_hidden_states) == net.cfg.n_decoder_layers + 1
    scale, errors = FORWARD[dtype], []
    for i, (a, b) in enumerate(zip(encoder, theirs.encoder_hidden_states, strict=True)):
        errors.append(close(a[mask], b[mask], scale, f"encoder state {i}"))
    for i, (a, b) in enumerate(zip(decoder, theirs.decoder_hidden_states, strict=True)):
        errors.append(close(a, b, scale, f"decoder state {i}"))
    errors.append(close(logits, theirs.logits, scale, "logits"))
    labels = target.roll(-1, 1)
    for out in (logits, theirs.logits):
        F.cross_entropy(out.flatten(0, 1), labels.flatten()).backward()
    mine = gradients(net, FAMILY)
    for name, x in reference.named_parameters():
        if x.requires_grad:
            close(mine[name], x.grad, GRADIENT[dtype], f"gradient of {name}")
    return max(errors)


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["fp32", "fp64"])
def test_states_logits_and_gradients(name, dtype, tmp_path, record_property):
    reference = marian(name).to(dtype)
    record_property("error", compare(ours(saved(reference, tmp_path / "hf"), FAMILY), reference, dtype))


@pytest.mark.parametrize("name", TINY)
def test_the_comparison_hears_a_wrong_activation_and_a_wrong_epsilon(name, tmp_path):
    reference = marian(name)
    folder = saved(reference, tmp_path / "fp32")
    with pytest.raises(AssertionError, match="encoder state 1: off by"):
        compare(ours(folder, FAMILY, lambda cfg: replace(cfg, act=WRONG_ACT[cfg.act])), reference)
    # An epsilon of 1e-5 moves these states by 3e-6 to 2e-5 of the largest: fp64 hears it, fp32 only just.
    folder = saved(reference.double(), tmp_path / "fp64")
    with pytest.raises(AssertionError, match="encoder state 1: off by"):
        compare(ours(folder, FAMILY, lambda cfg: replace(cfg, eps=1e-12)), reference, torch.float64)


@pytest.mark.parametrize("name", TINY)
def test_our_files_are_theirs(name, tmp_path):
    reference = marian(name)
    folder = saved(reference, tmp_path / "hf")
    mine = written(ours(folder, FAMILY), FAMILY, tmp_path / "qkv")
    assert (mine / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    load: Any = MarianMTModel.from_pretrained
    loaded, info = load(mine, output_loading_info=True, attn_implementation="eager")
    assert not any(info.values()), info
    state, wanted = loaded.state_dict(), reference.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[key], wanted[key]) for key in wanted)
    source, mask, target = inputs(reference.config)
    logits = [net(source, attention_mask=mask, decoder_input_ids=target).logits for net in (loaded.eval(), reference)]
    assert torch.equal(*logits)


def test_files_in_shards_are_the_same_net(tmp_path):
    reference = marian("shared")
    reference.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 3
    whole, parts = ours(saved(reference, tmp_path / "hf"), FAMILY), ours(tmp_path / "shards", FAMILY)
    assert all(torch.equal(x, y) for x, y in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_numbers_of_every_width_travel_unchanged(dtype, tmp_path):
    folder = saved(marian("shared").to(dtype), tmp_path / "hf")
    mine = written(ours(folder, FAMILY), FAMILY, tmp_path / "qkv")
    assert (mine / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("name", TINY)
def test_every_damage_to_one_tensor_is_refused(name, tmp_path):
    folder = saved(marian(name), tmp_path)
    net = ours(folder, FAMILY)
    public, tensors, like = FAMILY.formats["hf"], read_safetensors(folder), net.state_dict()
    table, refused = public.rules(net.cfg), []
    for what, file in damaged(tensors):
        try:
            read_state(table, file, like, aliases=public.aliases(net.cfg))
        except WeightsError as error:
            refused.append((what, str(error)))
    assert len(refused) == 4 * len(tensors)
    assert all(what.split()[-1] in message for what, message in refused)


def old_file(folder: Path) -> dict[str, torch.Tensor]:
    """Return a shared model's tensors as older versions wrote them: every name of the table, and the positions."""
    tensors = read_safetensors(folder)
    table = tensors["model.shared.weight"]
    names = ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
    tensors |= {name: table.clone() for name in names}
    return tensors | {f"model.{side}.embed_positions.weight": torch.zeros(80, 24) for side in ("encoder", "decoder")}


def test_older_files_are_understood(tmp_path):
    net = ours(saved(marian("shared"), tmp_path), FAMILY)
    public, old, like = FAMILY.formats["hf"], old_file(tmp_path), net.state_dict()
    state = read_state(public.rules(net.cfg), old, like, aliases=public.aliases(net.cfg))
    assert all(torch.equal(state[key], like[key]) for key in like)
    for name in ("lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"):
        with pytest.raises(WeightsError, match=f"{name} is a second copy of model.shared.weight, but differs"):
            read_state(public.rules(net.cfg), old | {name: old[name] + 1e-6}, like, aliases=public.aliases(net.cfg))
