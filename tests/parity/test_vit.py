"""Our Vit is ViT, DeiT, DINOv2 and DINOv2 with registers of transformers: the same numbers, the same files."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from parity.loud import close, ours, saved, written, written_gradients
from parity.standard import Case, check_damage, check_fault, check_files, check_numbers
from qkv.base import seeds
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models.vit import FAMILY, resize_positions
from qkv.models.vit_files import LAYOUTS
from qkv.weights.files import read_safetensors

SHAPES: dict[str, dict[str, Any]] = {
    "three heads": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 12},
    "one head": {"hidden_size": 14, "num_hidden_layers": 3, "num_attention_heads": 1, "image_size": [8, 16],
                 "num_channels": 1, "qkv_bias": False, "hidden_act": "relu"},
    "odd widths": {"hidden_size": 35, "num_hidden_layers": 1, "num_attention_heads": 5, "image_size": 16,
                   "layer_norm_eps": 1e-5},
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    "vit": {"intermediate_size": 40},
    "deit": {"intermediate_size": 17},
    "dinov2": {"mlp_ratio": 2},
    "dinov2_with_registers": {"mlp_ratio": 1, "num_register_tokens": 3},
}
DINOV2 = ("dinov2", "dinov2_with_registers")


def arguments(layout: str, shape: str) -> dict[str, Any]:
    """Return a tiny configuration: of the later shapes DINOv2's MLP is gated, of the last it has no mask token."""
    given = SHAPES[shape] | {"patch_size": 4, "num_labels": 3} | MORE[layout]
    if layout in DINOV2 and shape != "three heads":
        given |= {"use_swiglu_ffn": True, "image_size": 12}  # its reference cannot be of pictures that are no squares
    return given | ({"use_mask_token": False} if (layout, shape) == ("dinov2", "odd widths") else {})


def make(layout: str, suffix: str, shape: str) -> Any:
    """Build a tiny reference."""
    stem, bare = LAYOUTS[layout].stem, suffix == "Model without pooler"
    config = getattr(transformers, f"{stem}Config")(**arguments(layout, shape), attn_implementation="sdpa")
    return getattr(transformers, stem + suffix.split()[0])(config, **({"add_pooling_layer": False} if bare else {}))


def pictures(n_channels: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    return torch.randn(2, n_channels, *size, generator=seeds.generator("pictures")).to(dtype)


def run_mine(size: tuple[int, int], net: Any) -> tuple[Tensor, ...]:
    given = pictures(net.cfg.n_channels, size, net.position.dtype)
    if net.cfg.reads == "each" and net.cfg.head:
        scores = net.scores(net.encode(given))
        return scores.mean(1), *scores.unbind(1)
    out = net(given)
    return (out,) if net.cfg.head else (out, net.summary(out)) if net.cfg.pooler else (out,)


def run_theirs(size: tuple[int, int], resized: bool, reference: Any) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    given = pictures(reference.config.num_channels, size, next(reference.parameters()).dtype)
    options = {"interpolate_pos_encoding": True} if resized else {}
    out = reference(pixel_values=given, output_hidden_states=True, **options)
    states = list(out.hidden_states)
    if "cls_logits" in out:
        return (out.logits, out.cls_logits, out.distillation_logits), states
    if "logits" in out:
        return (out.logits,), states
    pooled = getattr(reference, "pooler", None) is not None
    return (out.last_hidden_state, *([out.pooler_output] if pooled else [])), states


def load(options: dict[str, Any], reference: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    kind = type(reference)
    return kind.from_pretrained(folder, output_loading_info=True, attn_implementation="sdpa", **options)


def case(layout: str, suffix: str, shape: str, size: tuple[int, int] | None = None) -> Case:
    """Return one net of one layout, on pictures of its own size or of another."""
    own = arguments(layout, shape)["image_size"]
    height, width = size or ((own, own) if isinstance(own, int) else own)
    return Case(
        family=FAMILY,
        make=lambda: make(layout, suffix, shape),
        mine=partial(run_mine, (height, width)),
        theirs=partial(run_theirs, (height, width), size is not None and layout not in DINOV2),
        load=partial(load, {"add_pooling_layer": False} if suffix == "Model without pooler" else {}),
        gradients=partial(written_gradients, save=saved),
    )


ALL = {
    f"{layout}, {suffix}": (layout, suffix)
    for layout, kind in LAYOUTS.items()
    for suffix in (*kind.heads, *([] if layout in DINOV2 else ["Model without pooler"]))
}
every_class = pytest.mark.parametrize(("layout", "suffix"), ALL.values(), ids=ALL)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_class
@every_shape
def test_the_same_numbers(layout, suffix, shape, tmp_path):
    check_numbers(case(layout, suffix, shape), tmp_path)


@every_class
def test_the_same_numbers_in_fp64(layout, suffix, tmp_path):
    check_numbers(case(layout, suffix, "three heads"), tmp_path, torch.float64)


@every_layout
@pytest.mark.parametrize("size", [(8, 8), (20, 20), (4, 24), (12, 32)])
def test_the_same_numbers_on_pictures_of_other_sizes(layout, size, tmp_path):
    check_numbers(case(layout, "ForImageClassification", "three heads", size), tmp_path)


@every_layout
def test_positions_resized_for_good_are_those_resized_in_passing(layout, tmp_path):
    """And the reference loads the files of such a net, and says the same."""
    one = case(layout, "ForImageClassification", "three heads", (20, 20))
    reference = one.reference()
    net = ours(saved(reference, tmp_path / "before"), FAMILY)
    resize_positions(net, (5, 5))
    assert net.cfg.picture_size == (20, 20) and net.position.shape == (1, 25 + net.n_placed, 24)
    back, info = one.load(reference, written(net, FAMILY, tmp_path / "after"))
    assert not any(info.values()) and back.config.image_size == 20
    for out in (one.mine(net)[0], one.theirs(back.eval())[0][0]):
        close(out, one.theirs(reference)[0][0], 1e-5)


@every_class
@every_shape
def test_our_files_are_theirs(layout, suffix, shape, tmp_path):
    check_files(case(layout, suffix, shape), tmp_path)


@every_class
@pytest.mark.parametrize("shape", ["three heads", "odd widths"])
def test_every_damage_to_one_tensor_is_refused(layout, suffix, shape, tmp_path):
    check_damage(case(layout, suffix, shape), tmp_path)


@every_class
def test_planted_faults_are_found(layout, suffix, tmp_path):
    one = case(layout, suffix, "three heads")
    eps = 1e-5 if layout in DINOV2 else 1e-6
    check_fault(one, tmp_path / "act", lambda cfg: replace(cfg, act="silu"))
    check_fault(one, tmp_path / "eps", lambda cfg: replace(cfg, eps=eps), torch.float64)


@pytest.mark.parametrize(("layout", "right"), [("vit", False), ("dinov2_with_registers", True)])
def test_another_way_to_resize_positions_is_found(layout, right, tmp_path):
    one = case(layout, "ForImageClassification", "three heads", (8, 8))
    check_fault(one, tmp_path, lambda cfg: replace(cfg, antialias=not right))


@every_layout
def test_configurations_come_back_as_they_were(layout, tmp_path):
    folder = saved(make(layout, "ForImageClassification", "odd widths"), tmp_path)
    told = json.loads((folder / "config.json").read_text())
    public = FAMILY.formats["hf"]
    back = public.write_config(public.fit(public.read_config(told), read_safetensors(folder).keys()))
    gated = {"hidden_act"} if layout in DINOV2 else set()  # a gated MLP has silu, whatever its config.json says
    assert {key for key, value in back.items() if told.get(key, "absent") != value} <= gated
    assert told["architectures"] == back["architectures"] and told["id2label"] == back["id2label"]


WRONG = [
    ("vit", {"image_size": "224"}, '"image_size" is .224., not one or two'),
    ("vit", {"patch_size": [4, 8]}, r'"patch_size" is \[4, 8\], not one number: patches here are squares'),
    ("vit", {"image_size": 15}, "picture_size is 15 x 15; both must be multiples of patch"),
    ("vit", {"pooler_act": "relu"}, "\"pooler_act\" is 'relu', but 'tanh' is all"),
    ("vit", {"pooler_output_size": 7}, '"pooler_output_size" is 7, but "hidden_size" is 24'),
    ("dinov2", {"mlp_ratio": 2.5}, '"mlp_ratio" is 2.5, not a whole number'),
    ("dinov2", {"hidden_dropout_prob": 0.1}, '"hidden_dropout_prob" is 0.1'),
    ("deit", {"architectures": ["DeiTForMaskedImageModeling"]}, '"DeiTForMaskedImageModeling" is not one of DeiTModel'),
]


@pytest.mark.parametrize(("layout", "change", "message"), WRONG)
def test_configurations_that_are_none_are_refused(layout, change, message):
    config = make(layout, "Model", "three heads").config.to_dict()
    with pytest.raises(ConfigError, match=message):
        FAMILY.formats["hf"].read_config(config | change)


UNSPOKEN = [
    ({"norm_late": True}, "ViT cannot express this net's norm_late"),
    ({"reads": "mean"}, "ViT has no class with a head that reads mean"),
    ({"reads": "mean", "head": None}, "ViT has no class with the mean for its summary"),
    ({"pooler": True}, "ViT has no class with a pooler and a head"),
    ({"n_registers": 2, "layer_scale": 1.0}, "cannot express this net's n_registers, layer_scale"),
    ({"layout": "dinov2", "reads": "first_and_mean", "d_ff": 41}, "Dinov2 cannot express this net's d_ff, layer_scale"),
    ({"layout": "deit", "reads": "each"}, "DeiT cannot express this net's n_class"),
]


@pytest.mark.parametrize(("change", "message"), UNSPOKEN)
def test_nets_that_transformers_cannot_express_are_refused(change, message):
    with pytest.raises(UnsupportedError, match=message):
        FAMILY.formats["hf"].write_config(replace(FAMILY.sizes["vit-digits"], **change))
