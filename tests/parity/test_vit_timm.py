"""Our Vit is timm's ViT, DeiT and DINOv2: the same numbers, the same files; they become those of transformers."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from timm.models import save_for_hf
from torch import Tensor

from parity.loud import close, loud, ours, streams, written
from parity.standard import Case, check_damage, check_fault, check_files, check_numbers
from qkv.base import seeds
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models.vit import FAMILY, SIZES, resize_positions
from qkv.models.vit_files import LAYOUTS
from qkv.models.vit_timm import ARCHITECTURES
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

SHAPES: dict[str, dict[str, Any]] = {
    "three heads": {"embed_dim": 24, "depth": 2, "num_heads": 3, "img_size": 12},
    "not square": {"embed_dim": 14, "depth": 3, "num_heads": 1, "img_size": (8, 20), "in_chans": 1, "qkv_bias": False},
    "odd widths": {"embed_dim": 35, "depth": 1, "num_heads": 5, "img_size": (16, 8)},
}
NETS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("vit_tiny_patch16_224", {"mlp_ratio": 1.5}),
    "ViT, mean": ("vit_small_patch32_224", {"global_pool": "avg"}),
    "ViT, mean of normed": ("vit_small_patch32_224", {"global_pool": "avg", "fc_norm": False}),
    "ViT, first normed": ("vit_small_patch32_224", {"fc_norm": True, "no_embed_class": True}),
    "ViT without a head": ("vit_base_patch8_224", {"num_classes": 0}),
    "DeiT": ("deit_tiny_patch16_224", {}),
    "DeiT with its teacher": ("deit_tiny_distilled_patch16_224", {}),
    "DeiT with its teacher, without heads": ("deit_base_distilled_patch16_384", {"num_classes": 0}),
    "DINOv2": ("vit_small_patch14_dinov2", {"num_classes": 0}),
    "DINOv2 with registers": ("vit_base_patch14_reg4_dinov2", {"reg_tokens": 3}),
    "DINOv2 giant": ("vit_giant_patch14_reg4_dinov2", {"num_classes": 0, "reg_tokens": 2}),
}


def make(net: str, shape: str, **changes: Any) -> Any:
    name, given = NETS[net]
    sizes: dict[str, Any] = {"patch_size": 4, "num_classes": 5} | SHAPES[shape] | given | changes
    return timm.create_model(name, **sizes)


def saved(reference: Any, folder: Path) -> Path:
    save_for_hf(reference, str(folder), safe_serialization=True)
    return folder


def loaded(reference: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """timm refuses a file that does not fit."""
    return timm.create_model(f"local-dir:{folder}", pretrained=True), {}


def pictures(n_channels: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    return torch.randn(2, n_channels, *size, generator=seeds.generator("pictures")).to(dtype)


def run_mine(size: tuple[int, int] | None, net: Any) -> tuple[Tensor, ...]:
    given = pictures(net.cfg.n_channels, size or net.cfg.picture_size, net.position.dtype)
    if net.cfg.head and net.cfg.reads == "each":
        scores = net.scores(net.encode(given))
        return scores.mean(1), scores[:, 0]
    out = net(given)
    return (out,) if net.cfg.head or net.cfg.reads == "each" else (out, net.summary(out))


def run_theirs(size: tuple[int, int] | None, reference: Any) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    given = pictures(reference.in_chans, size or reference.patch_embed.img_size, reference.pos_embed.dtype)
    blocks = list(reference.blocks)
    if not reference.num_classes:
        out, states = streams(blocks, lambda: reference.forward_features(given))
        return ((out,) if hasattr(reference, "dist_token") else (out, reference.forward_head(out))), states
    out, states = streams(blocks, lambda: reference(given))
    first = (reference.head(reference.forward_features(given)[:, 0]),) if hasattr(reference, "dist_token") else ()
    return (out, *first), states


def case(net: str, shape: str, size: tuple[int, int] | None = None, **changes: Any) -> Case:
    """Return one net, on pictures of its own size or of another."""
    return Case(
        family=FAMILY,
        make=lambda: make(net, shape, **changes),
        mine=partial(run_mine, size),
        theirs=partial(run_theirs, size),
        format="timm",
        save=saved,
        load=loaded,
    )


every_net = pytest.mark.parametrize("net", NETS)
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_net
@every_shape
def test_the_same_numbers(net, shape, tmp_path):
    check_numbers(case(net, shape), tmp_path)


@every_net
def test_the_same_numbers_in_fp64(net, tmp_path):
    check_numbers(case(net, "not square"), tmp_path, torch.float64)


@pytest.mark.parametrize("net", ["ViT", "ViT, first normed", "DeiT with its teacher", "DINOv2 with registers"])
@pytest.mark.parametrize(
    ("shape", "size"), [("three heads", (8, 8)), ("three heads", (4, 24)), ("not square", (20, 8))]
)
def test_the_same_numbers_on_pictures_of_other_sizes(net, shape, size, tmp_path):
    check_numbers(case(net, shape, size, dynamic_img_size=True), tmp_path)


@pytest.mark.parametrize("net", ["ViT", "DeiT with its teacher", "DINOv2 with registers"])
def test_positions_resized_for_good_are_timms(net, tmp_path):
    reference = loud(make(net, "not square"))
    mine = ours(saved(reference, tmp_path / "before"), FAMILY, format="timm")
    reference.set_input_size((12, 12))
    resize_positions(mine, (3, 3))
    assert torch.equal(mine.position, reference.pos_embed)
    back, _ = loaded(reference, written(mine, FAMILY, tmp_path / "after", "timm"))
    close(run_mine(None, mine)[0], run_theirs(None, back.eval())[0][0], 1e-5)


@every_net
@every_shape
def test_our_files_are_theirs(net, shape, tmp_path):
    check_files(case(net, shape), tmp_path)


@every_net
def test_every_damage_to_one_tensor_is_refused(net, tmp_path):
    check_damage(case(net, "odd widths"), tmp_path)


@every_net
def test_planted_faults_are_found(net, tmp_path):
    one = case(net, "three heads")
    check_fault(one, tmp_path / "act", lambda cfg: replace(cfg, act="relu"))
    check_fault(one, tmp_path / "eps", lambda cfg: replace(cfg, eps=1e-5), torch.float64)


def test_another_way_to_resize_positions_is_found(tmp_path):
    one = case("ViT", "three heads", (8, 8), dynamic_img_size=True)
    check_fault(one, tmp_path, lambda cfg: replace(cfg, antialias=False))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_what_timm_builds(name):
    """From its name and its picture alone, as older files have it; written back, it has its name again."""
    with torch.device("meta"):
        reference: Any = timm.create_model(name)
        side = reference.pretrained_cfg["input_size"][1]
        told = {"architecture": name, "pretrained_cfg": {"input_size": [3, side, side]}}
        told["num_classes"] = reference.num_classes
        public = FAMILY.formats["timm"]
        net = FAMILY.net(public.read_config(told))
    assert (
        net.cfg.picture_size == reference.patch_embed.img_size and net.cfg.n_heads == reference.blocks[0].attn.num_heads
    )
    with torch.device("meta"):
        read_state(public.rules(net.cfg), reference.state_dict(), net.state_dict())
    back = public.write_config(net.cfg)
    assert public.read_config(back) == net.cfg
    assert back["architecture"].removeprefix("vit_").removeprefix("deit_") == name.removeprefix("vit_").removeprefix(
        "deit_"
    )


TO_HF = {
    "ViT": "ForImageClassification",
    "ViT without a head": "Model",
    "DeiT with its teacher": "ForImageClassificationWithTeacher",
    "DINOv2": "Model",
}


@pytest.mark.parametrize(("net", "suffix"), TO_HF.items())
def test_files_of_timm_become_those_of_transformers(net, suffix, tmp_path):
    """And back again, bit for bit: one net serves both."""
    reference = loud(make(net, "three heads", **({"mlp_ratio": 2.0} if net == "DINOv2" else {})))
    mine = ours(saved(reference, tmp_path / "timm"), FAMILY, format="timm")
    folder = written(mine, FAMILY, tmp_path / "hf")
    kind = getattr(transformers, LAYOUTS[mine.cfg.layout].stem + suffix)
    options = {"add_pooling_layer": False} if (net, suffix) == ("ViT without a head", "Model") else {}
    other, info = kind.from_pretrained(folder, output_loading_info=True, **options)
    assert not any(info.values()), info
    given = pictures(3, (12, 12), torch.float32)
    out = other.eval()(pixel_values=given)
    wanted = reference(given) if reference.num_classes else reference.forward_features(given)
    close(out.logits if reference.num_classes else out.last_hidden_state, wanted, 1e-5)
    again = written(ours(folder, FAMILY), FAMILY, tmp_path / "again", "timm")
    a, b = read_safetensors(again), read_safetensors(tmp_path / "timm")
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in b)


UNSPOKEN = [
    ("vit-digits", {}, "timm cannot express this net's eps 1e-12"),
    ("dinov2-base", {}, "timm cannot express this net's mask_token True"),
    ("dinov2-with-registers-base", {"mask_token": False}, "this net's place_class True"),
    ("vit-tiny-patch16-224", {"eps": 1e-6, "pooler": True, "act": "relu"}, "this net's act 'relu', pooler True"),
    ("vit-tiny-patch16-224", {"eps": 1e-6, "reads": "first_and_mean"}, "this net's reads 'first_and_mean'"),
    ("deit-tiny-distilled-patch16-224", {"eps": 1e-6, "reads": "first"}, "this net's n_class 2"),
]


@pytest.mark.parametrize(("size", "change", "message"), UNSPOKEN)
def test_nets_that_timm_cannot_express_are_refused(size, change, message):
    with pytest.raises(UnsupportedError, match=message):
        FAMILY.formats["timm"].write_config(replace(SIZES[size], **change))


WRONG = [
    (
        {"architecture": "vit_base_patch16_225"},
        '"vit_base_patch16_225" is not one of .* Did you mean "vit_base_patch16_224"',
    ),
    ({"model_args": {"qk_norm": True}}, '"qk_norm" is True, but False is all'),
    ({"model_args": {"global_pool": "map"}}, '"global_pool" is .map., not one of token, avg'),
    ({"model_args": {"mlp_ration": 3}}, 'unknown key "mlp_ration"'),
    ({"model_args": {"reg_tokens": 2}}, '"no_embed_class" is False, but registers have no positions'),
    ({"model_args": {"patch_size": [4, 8]}}, '"patch_size" is .4, 8., not one number'),
    ({"model_args": {"mlp_ratio": "4"}}, '"mlp_ratio" is .4., not a number'),
    ({"model_args": [1]}, "must be objects"),
    ({"pretrained_cfg": 3}, "must be objects"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_configurations_that_are_none_are_refused(change, message, tmp_path):
    told = json.loads((saved(make("ViT", "three heads"), tmp_path) / "config.json").read_text())
    change = {k: told[k] | v if isinstance(told[k], dict) and isinstance(v, dict) else v for k, v in change.items()}
    with pytest.raises(ConfigError, match=message):
        FAMILY.formats["timm"].read_config(told | change)
