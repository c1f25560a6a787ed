"""Tables of names: both directions are inverse, and no tensor is dropped, invented or bent to fit."""

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qkv.base.errors import WeightsError
from qkv.weights.rules import cut, flip, join, read_state, same, swap_body, tie, write_state

D, LAYERS = 4, 3
TABLE = [
    same("emb.weight", "token.weight"),
    join(["h.*.q.weight", "h.*.kv.weight"], "blocks.*.qkv.weight", 0, (D, 2 * D)),
    join(["h.*.q.bias", "h.*.kv.bias"], "blocks.*.qkv.bias", 0, (D, 2 * D)),
    flip("h.*.fc1.weight", "blocks.*.up.weight"),
    flip("h.*.fc2.weight", "blocks.*.down.weight"),
    cut("h.*.norms.weight", ["blocks.*.norm_a.weight", "blocks.*.norm_b.weight"], -1, (D, D)),
    same("steps", "steps"),
    tie("head.weight", "token.weight"),
]


def state() -> dict[str, torch.Tensor]:
    """Draw the state of a small net of ours."""
    ours = {"token.weight": torch.randn(7, D), "steps": torch.tensor(11)}
    for i in range(LAYERS):
        ours[f"blocks.{i}.qkv.weight"] = torch.randn(3 * D, D)
        ours[f"blocks.{i}.qkv.bias"] = torch.randn(3 * D)
        ours[f"blocks.{i}.up.weight"] = torch.randn(6, D)
        ours[f"blocks.{i}.down.weight"] = torch.randn(D, 6)
        ours[f"blocks.{i}.norm_a.weight"] = torch.randn(D)
        ours[f"blocks.{i}.norm_b.weight"] = torch.randn(D)
    return ours | {"head.weight": ours["token.weight"]}


@pytest.fixture
def net() -> dict[str, torch.Tensor]:
    return state()


@pytest.fixture
def file(net) -> dict[str, torch.Tensor]:
    return write_state(TABLE, net)


def test_the_file_has_its_own_names_and_shapes(file):
    shapes = {name: list(x.shape) for name, x in file.items()}
    layer = {"q.weight": [4, 4], "kv.weight": [8, 4], "q.bias": [4], "kv.bias": [8]}
    layer |= {"fc1.weight": [4, 6], "fc2.weight": [6, 4], "norms.weight": [8]}
    wanted = {f"h.{i}.{name}": shape for i in range(LAYERS) for name, shape in layer.items()}
    assert shapes == wanted | {"emb.weight": [7, 4], "steps": []}


def test_both_directions_are_inverse(net, file):
    back = read_state(TABLE, file, net)
    assert back.keys() == net.keys()
    assert all(torch.equal(back[name], net[name]) for name in net)
    again = write_state(TABLE, back)
    assert again.keys() == file.keys() and all(torch.equal(again[name], file[name]) for name in file)


def test_nothing_is_copied_that_keeps_its_form(net, file):
    back = read_state(TABLE, file, net)
    assert back["token.weight"].data_ptr() == file["emb.weight"].data_ptr()
    assert back["head.weight"] is back["token.weight"]
    assert back["blocks.0.up.weight"].data_ptr() == file["h.0.fc1.weight"].data_ptr()
    assert back["blocks.1.norm_b.weight"].data_ptr() == file["h.1.norms.weight"].data_ptr() + 4 * D


@given(dtype=st.sampled_from([torch.float64, torch.float16, torch.bfloat16]))
def test_numbers_keep_their_type(dtype):
    net = state()
    file = {name: x.to(dtype) if x.is_floating_point() else x for name, x in write_state(TABLE, net).items()}
    back = read_state(TABLE, file, {name: x.to("meta") for name, x in net.items()})
    assert {x.dtype for name, x in back.items() if name != "steps"} == {dtype}
    assert back["steps"].dtype == torch.int64


def test_every_damage_to_one_tensor_raises(net, file):
    """Drop, rename, transpose, resize each tensor in turn, and add one beside it: all are told, by name."""
    for name, x in file.items():
        rest = {key: value for key, value in file.items() if key != name}
        damages = {
            "drop": rest,
            "rename": rest | {name + "x": x},
            "number": rest | {name.replace("h.0", "h.9") if "h.0" in name else "9." + name: x},
            "add": file | {name + ".more": x},
            "resize": rest | {name: torch.cat([x, x]) if x.dim() else x[None]},
            "type": rest | {name: x.to(torch.float32 if name == "steps" else torch.int8)},
        }
        if x.dim() == 2 and x.size(0) != x.size(1):
            damages["transpose"] = rest | {name: x.T}
        for what, damaged in damages.items():
            with pytest.raises(WeightsError) as raised:
                read_state(TABLE, damaged, net)
            message = str(raised.value)
            assert name in message or what == "number", (what, message)
            assert len(message.splitlines()) <= 5


def test_all_faults_come_in_one_message_with_the_nearest_name(net, file):
    del file["h.1.q.weight"]
    file["h.1.qq.weight"] = torch.zeros(D, D)
    file["emb.weight"] = torch.zeros(7, D + 1)
    file["h.2.kv.bias"] = torch.zeros(2 * D, dtype=torch.float16)
    with pytest.raises(WeightsError) as raised:
        read_state(TABLE, file, net, where="model.safetensors", kind="tiny")
    assert str(raised.value).splitlines() == [
        "model.safetensors does not fit this tiny model: 1 of 23 tensors missing, 1 unexpected, 2 unfit. "
        "Is its config.json another model's?",
        'missing: h.1.q.weight Did you mean "h.1.qq.weight"?',
        "unexpected: h.1.qq.weight",
        "unfit: emb.weight: file [7, 5], model [7, 4]; "
        "h.2.kv.bias: torch.float16, but h.2.q.bias, which it joins, torch.float32",
    ]


def test_long_lists_are_counted(net, file):
    for name in [name for name in file if ".fc" in name]:
        del file[name]
    with pytest.raises(WeightsError, match="6 of 23 tensors missing") as raised:
        read_state(TABLE, file, net)
    assert str(raised.value).endswith("; and 3 more")


def test_another_architecture_is_named_as_such(net):
    gpt = {f"transformer.h.{i}.attn.c_attn.weight": torch.zeros(2, 2) for i in range(12)}
    with pytest.raises(WeightsError) as raised:
        read_state(TABLE, gpt, net, where="model.safetensors", kind="tiny")
    assert str(raised.value).startswith(
        "model.safetensors holds no tiny weights: 0 of 23 tiny names found; "
        'its names are like "transformer.h.0.attn.c_attn.weight".'
    )
    with pytest.raises(WeightsError, match="holds no tiny weights: 0 of 23"):
        read_state(TABLE, {}, net, kind="tiny")


ALIASES = {"lm_head.weight": "wte.weight", "wte.weight": "emb.weight", "old.*.beta": "h.*.q.bias", "h.*.mask": None}


def test_old_names_are_understood_in_one_step_or_more(net, file):
    for name in ("lm_head.weight", "wte.weight"):
        old = {key: x for key, x in file.items() if key not in ("emb.weight", "h.2.q.bias")}
        old |= {name: file["emb.weight"], "old.2.beta": file["h.2.q.bias"], "h.1.mask": torch.ones(3, 3)}
        back = read_state(TABLE, old, net, aliases=ALIASES)
        assert all(torch.equal(back[key], net[key]) for key in net)


def test_a_second_copy_must_be_equal_to_the_bit(net, file):
    file["emb.weight"][0, 0] = float("nan")
    twice = file | {"lm_head.weight": file["emb.weight"].clone()}
    read_state(TABLE, twice, net, aliases=ALIASES)
    for other in (file["emb.weight"] * 1.0000001, file["emb.weight"].double(), file["emb.weight"][:3]):
        with pytest.raises(WeightsError, match=r"lm_head.weight is a second copy of emb.weight, but differs"):
            read_state(TABLE, file | {"lm_head.weight": other}, net, aliases=ALIASES)


def test_what_no_alias_lists_is_not_dropped(net, file):
    for name in ("mask", "h.1.masks", "lm_head.bias"):
        with pytest.raises(WeightsError, match=f"unexpected: {name}"):
            read_state(TABLE, file | {name: torch.zeros(2)}, net, aliases=ALIASES)


def test_aliases_in_a_circle_end(net, file):
    with pytest.raises(WeightsError, match="unexpected: a"):
        read_state(TABLE, file | {"a": torch.zeros(2)}, net, aliases={"a": "b", "b": "a"})


def test_tied_tensors_that_differ_are_not_written(net):
    with pytest.raises(WeightsError, match=r"head.weight and token.weight differ"):
        write_state(TABLE, net | {"head.weight": net["token.weight"] + 1})


def test_a_net_and_its_table_must_agree(net, file):
    def drop(name: str) -> dict[str, torch.Tensor]:
        return {key: x for key, x in net.items() if key != name}

    faults = [
        (TABLE, net | {"blocks.0.extra": torch.zeros(1)}, "no row for blocks.0.extra"),
        (TABLE, drop("steps"), "nothing for steps in the net"),
        (TABLE, drop("token.weight"), "no token.weight in the net"),
        (TABLE, drop("blocks.1.norm_b.weight"), r"no blocks.1.norm_b.weight in the net"),
        ([*TABLE, same("again", "blocks.*.up.weight")], net, "2 rows for blocks.0.up.weight"),
        ([*TABLE[:-1], same("emb.weight", "head.weight")], net, "two rows for emb.weight"),
        (TABLE, net | {"blocks.0.qkv.bias": torch.zeros(7)}, r"sizes \(4, 8\) do not make the \(7,\)"),
        (TABLE, net | {"blocks.0.norm_a.weight": torch.zeros(5)}, r"sizes \(4, 4\) do not make the \(5, 4\)"),
    ]
    for table, ours, message in faults:
        with pytest.raises(WeightsError, match=message):
            write_state(table, ours)
        with pytest.raises(WeightsError, match=message):
            read_state(table, file, ours)


def test_numbers_inside_words_are_no_stars():
    table = [same("l.*.fc1.w", "b.*.up1.w"), same("l.*.fc2.w", "b.*.up2.w"), same("l.*.mlp.0.w", "b.*.mlp.3.w")]
    ours = {f"b.{i}.{name}.w": torch.randn(2) for i in range(11) for name in ("up1", "up2", "mlp.3")}
    file = write_state(table, ours)
    assert "l.10.fc2.w" in file and "l.10.mlp.0.w" in file
    assert torch.equal(read_state(table, file, ours)["b.10.up2.w"], ours["b.10.up2.w"])
    with pytest.raises(WeightsError, match=r"unexpected: l.1.mlp.1.w"):
        read_state(table, file | {"l.1.mlp.1.w": torch.zeros(2)}, ours)


@pytest.mark.parametrize("starred", [True, False])
def test_time_grows_with_the_number_of_tensors_not_with_its_square(starred):
    def seconds(n: int) -> float:
        ours = {f"b.{i}.{j}.w": torch.zeros(1) for i in range(n) for j in range(10)}
        table = [same(f"l.*.{j}.w", f"b.*.{j}.w") for j in range(10)]
        table = table if starred else [same(name, name) for name in ours]
        started = time.process_time()
        read_state(table, write_state(table, ours), ours)
        return time.process_time() - started

    seconds(20)
    assert min(seconds(300) for _ in range(2)) < 30 * min(seconds(30) for _ in range(3))


def test_types_that_would_not_understand_each_other_are_refused(net, file):
    """All of a file in another type is another matter: the net then has it, too."""
    half = {name: x.half() if x.is_floating_point() else x for name, x in file.items()}
    assert read_state(TABLE, half, net)["token.weight"].dtype == torch.float16
    file["h.1.fc1.weight"] = file["h.1.fc1.weight"].half()
    match = r"this file mixes types of numbers: .*float16 \(blocks\.1\.up\.weight\).* Save the model in one of them"
    with pytest.raises(WeightsError, match=match):
        read_state(TABLE, file, net)


def test_a_body_s_name_may_be_there_or_left_out():
    rules = [same("model.h.*.w", "blocks.*.w"), join(["model.q", "model.k"], "qk", 0, (1, 1)), same("head.w", "head")]
    assert swap_body(rules, "model.", named=True) == {"h.*.w": "model.h.*.w", "q": "model.q", "k": "model.k"}
    assert swap_body([same("h.w", "w")], "model.", named=False) == {"model.h.w": "h.w"}
