"""Heads removed for good: the function of the net with those heads at zero, in a smaller net and in public files."""

import copy
import json
from contextlib import ExitStack
from typing import Any

import pytest
import torch
import transformers

import qkv
from model.public_folders import bert_folder, deberta_folder, gpt_folder, llama_folder, vit_folder
from models.tiny import SMALL, batch_for, difference, make, make_lively
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.inside.pruning import full_state, prune, removed_from
from qkv.inside.seats import find_seats
from qkv.inside.surgery import edit_heads
from qkv.models.family import MapSpec
from qkv.nn.packed import pack
from qkv.verbs.heads import with_head

WITH_HEADS = {name: small for name, small in SMALL.items() if small.family.name != "seq2seq"}
every_net = pytest.mark.parametrize("small", WITH_HEADS.values(), ids=WITH_HEADS)
BERT, LLAMA = SMALL["bert-tiny"], SMALL["llama-tiny"]


def some_heads(spec: MapSpec) -> list[int]:
    """Choose a head in even layers, two in odd ones; of grouped ones one of each group, or a whole group."""
    if spec.kv_heads:
        return [0, 3] if spec.layer % 2 else [2, 3]
    return [0, spec.heads - 2] if spec.layer % 2 and spec.heads > 2 else [spec.heads - 1]


def n_parameters(net: Any) -> int:
    return sum(p.numel() for p in net.parameters())


@every_net
def test_a_pruned_net_is_the_net_with_those_heads_at_zero(small):
    net, batch = make_lively(small), batch_for(small)
    before, state = net(*batch), copy.deepcopy(net.state_dict())
    pruned, width, zeros = net, 0, []
    for seat in find_seats(net):
        spec = seat.spec
        where: dict[str, Any] = {"kind": spec.kind, "stream": spec.query_stream}
        heads = [(spec.layer, head) for head in some_heads(spec)]
        zeros.append(edit_heads(net, dict.fromkeys(heads, 0.0), **where))
        pruned = prune(pruned, heads, **where)
        width += len(heads)
    with ExitStack() as stack:
        for zero in zeros:
            stack.enter_context(zero)
        wanted = net(*batch)
    assert difference(pruned(*batch), wanted) <= 2e-6
    assert difference(wanted, before) > 1e-3 and torch.equal(net(*batch), before)
    assert all(torch.equal(x, state[name]) for name, x in net.state_dict().items())
    assert n_parameters(net) - n_parameters(pruned) >= 2 * width * net.cfg.d_model
    assert [s.spec.heads for s in find_seats(pruned)] == [
        s.spec.heads - len(some_heads(s.spec)) for s in find_seats(net)
    ]
    full = small.family.net(pruned.cfg).eval()
    full.load_state_dict(full_state(pruned))
    assert difference(full(*batch), wanted) <= 2e-6


def test_what_is_left_looks_as_before():
    net, batch = make(BERT), batch_for(BERT)
    pruned = prune(net, [(0, 1), (0, 2)])
    with qkv.look(net) as seen:
        net(*batch)
    with qkv.look(pruned) as left:
        pruned(*batch)
    a, b = (x.weights(0, "self", "text") for x in (seen, left))
    torch.testing.assert_close(b, a[:, [0, 3]], rtol=0, atol=1e-6)


def test_a_pruned_net_learns_is_copied_packed_and_given_another_head():
    net, batch = make(BERT), batch_for(BERT)
    pruned = prune(prune(net.requires_grad_(False), [(0, 1)]).requires_grad_(), [(0, 2), (1, 0)])
    assert removed_from(pruned) == (("text", "self", 0, (1,)), ("text", "self", 0, (2,)), ("text", "self", 1, (0,)))
    pruned(*batch).sin().sum().backward()
    seats: Any = find_seats(pruned)
    assert all(seat.attention.out.weight.grad.any() for seat in seats)
    wanted = pruned(*batch)
    assert torch.equal(copy.deepcopy(pruned)(*batch), wanted)
    assert difference(pack(pruned, torch.float32)(*batch), wanted) <= 2e-6
    made, drawn = with_head(pruned, pruned.cfg, seed=0)
    assert not drawn and torch.equal(made.eval()(*batch), wanted)


def test_what_cannot_be_removed_is_refused():
    bert, llama, rnn = make(BERT), make(LLAMA), make(SMALL["bahdanau-tiny"])
    calls = {
        r"Layer 0 \(text self\) has heads 0 to 3; there is no head 4": (bert, [(0, 4)]),
        "No text self map of layer 2 is in this net; there are: text self 0 to 1": (bert, [(2, 0)]),
        "would have no head left: keep one at least": (bert, [(1, head) for head in range(4)]),
        r"Layer 1 .* keep equally many, or none; left are 1 of group 0, 2 of group 1": (llama, [(1, 0)]),
        r"Layer 0 \(target cross\) would have no head left": (rnn, [(0, 0)]),
    }
    for message, (net, heads) in calls.items():
        with pytest.raises(ConfigError, match=message):
            prune(net, heads)
    with pytest.raises(UnsupportedError, match="Heads are removed outside"), edit_heads(bert, {(0, 0): 0.0}):
        prune(bert, [(0, 0)])
    assert prune(bert, []).cfg == bert.cfg and prune(llama, []).cfg == llama.cfg


FOLDERS: dict[str, Any] = {"bert": bert_folder, "gpt": gpt_folder, "deberta": deberta_folder, "vit": vit_folder}
INPUTS: dict[str, Any] = {"vit": lambda: torch.rand(2, 3, 32, 32)}
REFERENCES = {
    "bert": transformers.BertForMaskedLM,
    "gpt": transformers.GPT2LMHeadModel,
    "deberta": transformers.DebertaV2ForSequenceClassification,
    "vit": transformers.ViTForImageClassification,
    "llama": transformers.LlamaForCausalLM,
}


def given(name: str) -> torch.Tensor:
    return torch.rand(2, 3, 32, 32) if name == "vit" else torch.randint(5, 60, (2, 9))


def reference_says(name: str, folder: Any, x: torch.Tensor) -> torch.Tensor:
    """Load a folder with transformers, which must miss nothing, and run it."""
    net, info = REFERENCES[name].from_pretrained(folder, output_loading_info=True)
    assert not any(info.values()), info
    return net.eval()(x).logits


@pytest.mark.parametrize("name", FOLDERS)
@torch.inference_mode()
def test_every_format_keeps_a_pruned_model(name, tmp_path):
    """Ours its shape, bit for bit; transformers' its function, with zeros in the gaps."""
    FOLDERS[name](tmp_path / "as published")
    model, x = qkv.load(tmp_path / "as published"), given(name)
    pruned = prune(model, [(0, 1), (1, 0), (1, 2)])
    wanted = pruned.net(x)
    assert type(pruned) is type(model) and difference(model.net(x), wanted) > 1e-3
    pruned.save(tmp_path / "ours")
    ours = qkv.load(tmp_path / "ours")
    assert torch.equal(ours.net(x), wanted) and removed_from(ours.net) == removed_from(pruned.net)
    assert n_parameters(ours.net) == n_parameters(pruned.net) < n_parameters(model.net)
    ours.save(tmp_path / "theirs", format="hf")
    assert difference(reference_says(name, tmp_path / "theirs", x), wanted) <= 1e-5
    again = qkv.load(tmp_path / "theirs").net
    assert not removed_from(again) and difference(again(x), wanted) <= 2e-6
    keys = (tmp_path / "as published" / "config.json", tmp_path / "theirs" / "config.json")
    assert len({json.loads(path.read_text("utf-8")).get("num_attention_heads") for path in keys}) == 1


@pytest.mark.parametrize("heads", [[0, 3], [3, 4, 5]], ids=["one of each group", "a whole group"])
@torch.inference_mode()
def test_where_the_configuration_has_words_the_file_is_small(heads, tmp_path):
    """Llama's says how wide a head is: layers that lose equally many make an ordinary Llama."""
    llama_folder(tmp_path / "as published")
    model, x = qkv.load(tmp_path / "as published"), given("llama")
    pruned = prune(model, [(layer, head) for layer in (0, 1) for head in heads])
    left, shared = (4, 2) if len(heads) == 2 else (3, 1)
    assert (pruned.net.cfg.n_heads, pruned.net.cfg.n_kv_heads, pruned.net.cfg.d_head) == (left, shared, 4)
    assert not removed_from(pruned.net)
    wanted = pruned.net(x)
    for format in ("qkv", "hf"):
        pruned.save(tmp_path / format, format=format)
        assert torch.equal(qkv.load(tmp_path / format).net(x), wanted)
    config = json.loads((tmp_path / "hf" / "config.json").read_text("utf-8"))
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]) == (left, shared, 4)
    assert difference(reference_says("llama", tmp_path / "hf", x), wanted) <= 1e-5
    with edit_heads(model, {(layer, head): 0.0 for layer in (0, 1) for head in heads}):
        assert difference(model.net(x), wanted) <= 2e-6


@torch.inference_mode()
def test_layers_of_unlike_width_come_to_one_width_in_two_steps(tmp_path):
    llama_folder(tmp_path / "as published")
    model, x = qkv.load(tmp_path / "as published"), given("llama")
    once = prune(model, [(1, 0), (1, 3)])
    assert removed_from(once.net) == (("text", "self", 1, (0, 3)),) and once.net.cfg == model.net.cfg
    once.save(tmp_path / "hf", format="hf")
    assert difference(reference_says("llama", tmp_path / "hf", x), once.net(x)) <= 1e-5
    twice = prune(once, [(0, 2), (0, 5)])
    assert not removed_from(twice.net) and twice.net.cfg.n_heads == 4
    assert twice.generate(["the old"], n_tokens=5)[0].ids == qkv_generate_at_zero(model)


def qkv_generate_at_zero(model: Any) -> list[int]:
    with edit_heads(model, dict.fromkeys([(1, 0), (1, 3), (0, 2), (0, 5)], 0.0)):
        return model.generate(["the old"], n_tokens=5)[0].ids


def test_a_header_that_tells_of_heads_that_never_were_is_refused(tmp_path):
    bert_folder(tmp_path / "as published")
    prune(qkv.load(tmp_path / "as published"), [(0, 1)]).save(tmp_path / "ours")
    path = tmp_path / "ours" / "config.json"
    header = json.loads(path.read_text("utf-8"))
    assert header["removed"] == [["text", "self", 0, [1]]]
    for removed, message in {
        (("text", "self", 0, (9,)),): "there is no head 9",
        (("text", "self", 7, (1,)),): "No text self map of layer 7",
        (("text", "self", "0", (1,)),): '"removed" is',
    }.items():
        path.write_text(json.dumps(header | {"removed": removed}), "utf-8")
        with pytest.raises(ConfigError, match=message):
            qkv.load(tmp_path / "ours")
