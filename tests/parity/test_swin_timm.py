"""Our Swin is timm's Swin: the same numbers, the same files; and its files become those of transformers."""

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

from parity.loud import close, ours, streams, written, written_gradients
from parity.standard import Case, check_damage, check_fault, check_files, check_numbers
from qkv.base import seeds
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models.swin import FAMILY
from qkv.models.swin_files import CLASSES, TIMM_NAMES
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

SHAPES: dict[str, dict[str, Any]] = {
    # a map of 10 x 10, shifted and padded to 12; then one of 5 x 5, shifted and padded to 6
    "padded": {"img_size": 20, "patch_size": 2, "embed_dim": 9, "depths": (2, 2), "num_heads": (3, 1)},
    # 3 x 7, windows of 3 x 4 shifted to one side; then 2 x 4, windows of 2 x 4 and no shift
    "not square": {"img_size": (12, 28), "patch_size": 4, "embed_dim": 10, "depths": (2, 2), "num_heads": (1, 5),
                   "window_size": 4, "in_chans": 1, "mlp_ratio": 1.5},
    # 12 x 12, 6 x 6 and 3 x 3: no padding
    "deeper": {"img_size": 24, "patch_size": 2, "embed_dim": 15, "depths": (2, 3, 2), "num_heads": (3, 5, 1)},
}  # fmt: skip
HEADS = {"classify": 5, None: 0}


def make(head: str | None, shape: str, **changes: Any) -> Any:
    given: dict[str, Any] = {"window_size": 3, "num_classes": HEADS[head]} | SHAPES[shape] | changes
    return timm.create_model("swin_tiny_patch4_window7_224", **given)


def saved(reference: Any, folder: Path) -> Path:
    save_for_hf(reference, str(folder), safe_serialization=True)
    return folder


def loaded(reference: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """timm refuses a file that does not fit."""
    return timm.create_model(f"local-dir:{folder}", pretrained=True), {}


def pictures(n_channels: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    return torch.randn(2, n_channels, *size, generator=seeds.generator("pictures")).to(dtype)


def run_mine(size: tuple[int, int] | None, net: Any) -> tuple[Tensor, ...]:
    given = pictures(net.cfg.n_channels, size or net.cfg.picture_size, net.norm.weight.dtype)
    out = net(given)
    return (out,) if net.cfg.head else (out, net.summary(out))


def run_theirs(size: tuple[int, int] | None, reference: Any) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    blocks = [block for stage in reference.layers for block in stage.blocks]
    given = pictures(reference.in_chans, size or reference.patch_embed.img_size, reference.norm.weight.dtype)
    if reference.num_classes:
        out, states = streams(blocks, lambda: (reference(given),))
    else:
        out, states = streams(blocks, lambda: reference.forward_features(given))
        out = out.flatten(1, 2), reference.forward_head(out)
    return out, [state.flatten(1, 2) for state in states]


def case(head: str | None, shape: str, size: tuple[int, int] | None = None, **changes: Any) -> Case:
    """Return one net with a head or without, on pictures of its own size or of another."""
    return Case(
        family=FAMILY,
        make=lambda: make(head, shape, **changes),
        mine=partial(run_mine, size),
        theirs=partial(run_theirs, size),
        blocks=lambda net: [block for stage in net.stages for block in stage.blocks],
        format="timm",
        save=saved,
        load=loaded,
        gradients=partial(written_gradients, save=saved),
    )


every_head = pytest.mark.parametrize("head", HEADS, ids=lambda head: head or "no head")
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_head
@every_shape
def test_the_same_numbers(head, shape, tmp_path):
    check_numbers(case(head, shape), tmp_path / "fp32")
    check_numbers(case(head, shape), tmp_path / "fp64", torch.float64)


@pytest.mark.parametrize("size", [(20, 44), (36, 32), (18, 18)], ids=str)
@pytest.mark.parametrize("shape", ["padded", "deeper"])
def test_pictures_of_other_sizes(shape, size, tmp_path):
    """Longer, larger, smaller: the windows stay those of the configured size."""
    one = case("classify", shape, size, strict_img_size=False)
    check_numbers(one, tmp_path / "fp32")
    check_numbers(one, tmp_path / "fp64", torch.float64)


@every_head
@every_shape
def test_our_files_are_theirs(head, shape, tmp_path):
    check_files(case(head, shape), tmp_path)


@every_head
def test_every_damage_to_one_tensor_is_refused(head, tmp_path):
    check_damage(case(head, "not square"), tmp_path)


@every_head
def test_planted_faults_are_found(head, tmp_path):
    one = case(head, "padded")
    check_fault(one, tmp_path / "act", lambda cfg: replace(cfg, act="silu"))
    check_fault(one, tmp_path / "eps", lambda cfg: replace(cfg, eps=1e-12), torch.float64)
    check_fault(one, tmp_path / "borders", lambda cfg: replace(cfg, shift_first=False))


@pytest.mark.parametrize("name", TIMM_NAMES)
def test_every_architecture_by_its_name_alone(name):
    """As the published files have it: no settings beside the name and the size of pictures."""
    with torch.device("meta"):
        reference: Any = timm.create_model(name)
    public = FAMILY.formats["timm"]
    told = {"architecture": name, "num_classes": 1000, "num_features": reference.num_features, "global_pool": "avg"}
    cfg = public.read_config(told | {"pretrained_cfg": {"input_size": list(reference.default_cfg["input_size"])}})
    with torch.device("meta"):
        net = FAMILY.net(cfg)
    theirs = {key: torch.empty(x.shape, device="meta") for key, x in reference.state_dict().items()}
    assert read_state(public.rules(cfg), theirs, net.state_dict()).keys() == net.state_dict().keys()
    size = name.replace("_", "-")
    assert replace(cfg, shift_first=False) == FAMILY.sizes[size]
    assert sum(p.numel() for p in reference.parameters()) == FAMILY.published[size].parameters
    assert public.write_config(cfg)["architecture"] == name


@every_head
def test_from_timm_to_transformers_and_back(head, tmp_path):
    """Where maps are multiples of the window: in both the same net, to the bit."""
    one = case(head, "deeper")
    reference = one.reference()
    timms = ours(saved(reference, tmp_path / "timm"), FAMILY, format="timm")
    hfs = ours(written(timms, FAMILY, tmp_path / "hf"), FAMILY)
    theirs = getattr(transformers, CLASSES[head]).from_pretrained(tmp_path / "hf").eval()
    with torch.no_grad():
        given = pictures(3, (24, 24), torch.float32)
        wanted = reference(given) if head else reference.forward_features(given).flatten(1, 2)
        close(theirs(given).logits if head else theirs(given).last_hidden_state, wanted, 1e-5)
        assert torch.equal(hfs(given), timms(given))
    back = ours(written(hfs, FAMILY, tmp_path / "back", "timm"), FAMILY, format="timm")
    assert back.cfg == timms.cfg
    assert all(torch.equal(a, b) for a, b in zip(back.parameters(), timms.parameters(), strict=True))


@pytest.mark.parametrize("shape", ["padded", "not square"])
def test_where_borders_differ_the_other_format_is_refused(shape, tmp_path):
    net = ours(saved(make("classify", shape), tmp_path / "timm"), FAMILY, format="timm")
    with pytest.raises(UnsupportedError, match="SwinModel pads maps before it shifts them"):
        FAMILY.formats["hf"].write_config(net.cfg)
    with pytest.raises(UnsupportedError, match="timm shifts maps before it pads them"):
        FAMILY.formats["timm"].write_config(replace(net.cfg, shift_first=False))


def test_older_files_are_understood(tmp_path):
    """They hold what is computed from the sizes of pictures and windows."""
    folder, public = saved(make("classify", "padded"), tmp_path), FAMILY.formats["timm"]
    today, cfg = read_safetensors(folder), public.read_config(json.loads((folder / "config.json").read_text()))
    old = {f"layers.{i}.blocks.1.attn_mask": torch.zeros(16, 9, 9) for i in range(2)}
    old |= {f"layers.{i}.blocks.0.attn.relative_position_index": torch.zeros(9, 9) for i in range(2)}
    with torch.device("meta"):
        like = FAMILY.net(cfg).state_dict()
    new, same = (read_state(public.rules(cfg), x, like, aliases=public.aliases(cfg)) for x in (today, today | old))
    assert all(torch.equal(new[key], same[key]) for key in like)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architecture": "swin_s3_tiny_224"}, "swin_s3_tiny_224"),
        ({"architecture": 3}, "architecture"),
        ({"model_args": []}, None),
        ({"model_args": [1]}, "model_args"),
        ({"model_args": {"window_size": [7, 7, 14, 7]}}, "window"),
        ({"model_args": {"img_size": "224"}}, "img_size"),
        ({"model_args": {"patch_size": [4, 2]}}, "patch_size"),
        ({"model_args": {"always_partition": True}}, "always_partition"),
        ({"model_args": {"windwo_size": 7}}, 'Did you mean "window_size"'),
        ({"pretrained_cfg": {"input_size": [3]}}, "img_size"),
        ({"num_classes": -1}, "n_labels"),
    ],
)
def test_what_a_configuration_may_not_say(change, told):
    read = FAMILY.formats["timm"].read_config
    config = {"architecture": "swin_tiny_patch4_window7_224", "num_classes": 10, "global_pool": "avg"}
    if told is None:
        assert read(config | change).n_labels == 10
        return
    with pytest.raises(ConfigError, match=told):
        read(config | change)


@pytest.mark.parametrize("change", [{"act": "relu"}, {"eps": 1e-6}, {"dropout": 0.1}], ids=str)
def test_what_timm_cannot_express(change):
    with pytest.raises(UnsupportedError, match=next(iter(change))):
        FAMILY.formats["timm"].write_config(replace(FAMILY.sizes["swin-tiny-patch4-window7-224"], **change))
