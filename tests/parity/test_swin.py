"""Our Swin is transformers' Swin: the same numbers, the same files."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from parity.loud import saved, streams, written_gradients
from parity.standard import Case, check_damage, check_fault, check_files, check_numbers
from qkv.base import seeds
from qkv.base.errors import ConfigError
from qkv.models.swin import FAMILY
from qkv.models.swin_files import CLASSES
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

SHAPES: dict[str, dict[str, Any]] = {
    # a map of 10 x 10, padded to 12 and shifted; then one of 5 x 5, padded to 6 and shifted
    "padded": {"image_size": 20, "patch_size": 2, "embed_dim": 9, "depths": [2, 2], "num_heads": [3, 1]},
    # 3 x 7, padded to 3 x 8: a merge of odd sides; windows as large as the shorter side are not shifted
    "not square": {"image_size": [12, 28], "patch_size": 4, "embed_dim": 10, "depths": [1, 2], "num_heads": [1, 5],
                   "window_size": 2, "num_channels": 1, "mlp_ratio": 1.5, "hidden_act": "relu", "layer_norm_eps": 1e-3},
    # 12 x 12, 6 x 6 and 3 x 3: no padding
    "deeper": {"image_size": 24, "patch_size": 2, "embed_dim": 15, "depths": [2, 3, 2], "num_heads": [3, 5, 1]},
}  # fmt: skip


def config(shape: str, attention: str) -> Any:
    given = {"window_size": 3, "num_labels": 5} | SHAPES[shape]
    return transformers.SwinConfig(**given, attn_implementation=attention)  # type: ignore[call-arg]


def pictures(n_channels: int, size: tuple[int, int], dtype: torch.dtype) -> Tensor:
    return torch.randn(2, n_channels, *size, generator=seeds.generator("pictures")).to(dtype)


def run_theirs(size: tuple[int, int] | None, reference: Any) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    """Run a reference, and watch its blocks: it returns the states of stages alone."""
    body = getattr(reference, "swin", reference)
    blocks = [block for stage in body.encoder.layers for block in stage.blocks]
    side = reference.config.image_size
    size = size or ((side, side) if isinstance(side, int) else (side[0], side[1]))
    given = pictures(reference.config.num_channels, size, reference.dtype)
    out, states = streams(blocks, lambda: reference(pixel_values=given))
    states = [state[0] if isinstance(state, tuple) else state for state in states]
    return ((out.logits,) if "logits" in out else (out.last_hidden_state, out.pooler_output)), states


def run_mine(size: tuple[int, int] | None, net: Any) -> tuple[Tensor, ...]:
    out = net(pictures(net.cfg.n_channels, size or net.cfg.picture_size, net.norm.weight.dtype))
    return (out,) if net.cfg.head else (out, net.summary(out))


def case(head: str | None, shape: str, size: tuple[int, int] | None = None, attention: str = "sdpa") -> Case:
    """Return one net with a head or without, on pictures of its own size or of another."""
    kind = getattr(transformers, CLASSES[head])
    return Case(
        family=FAMILY,
        make=lambda: kind(config(shape, attention)),
        mine=partial(run_mine, size),
        theirs=partial(run_theirs, size),
        blocks=lambda net: [block for stage in net.stages for block in stage.blocks],
        gradients=partial(written_gradients, save=saved),
    )


every_head = pytest.mark.parametrize("head", CLASSES, ids=lambda head: head or "no head")
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_head
@every_shape
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_same_numbers(head, shape, attention, tmp_path):
    check_numbers(case(head, shape, attention=attention), tmp_path)


@every_head
@every_shape
def test_the_same_numbers_in_fp64(head, shape, tmp_path):
    check_numbers(case(head, shape), tmp_path, torch.float64)


@pytest.mark.parametrize("size", [(20, 44), (37, 31), (18, 18)], ids=str)
@pytest.mark.parametrize("shape", ["padded", "deeper"])
def test_pictures_of_other_sizes(shape, size, tmp_path):
    """Longer, no multiple of the patch, smaller; the maps are found anew."""
    check_numbers(case("classify", shape, size), tmp_path)
    check_numbers(case("classify", shape, size), tmp_path, torch.float64)


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
    check_fault(one, tmp_path / "borders", lambda cfg: replace(cfg, shift_first=True))


def test_older_files_are_understood(tmp_path):
    """They hold which row of its table belongs to which offset."""
    one = case("classify", "padded")
    public, today = FAMILY.formats["hf"], read_safetensors(saved(one.reference(), tmp_path))
    cfg = public.read_config(one.reference().config.to_dict())
    old = {
        name.replace("_bias_table", "_index"): torch.zeros(9, 9, dtype=torch.long)
        for name in today
        if name.endswith("_bias_table")
    }
    with torch.device("meta"):
        like = FAMILY.net(cfg).state_dict()
    new, same = (read_state(public.rules(cfg), x, like, aliases=public.aliases(cfg)) for x in (today, today | old))
    assert old and all(torch.equal(new[key], same[key]) for key in like)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_size": "224"}, "image_size"),
        ({"image_size": [224, 224, 3]}, "image_size"),
        ({"patch_size": [4, 2]}, "patch_size"),
        ({"depths": 2}, "depths"),
        ({"qkv_bias": False}, "qkv_bias"),
        ({"use_absolute_embeddings": True}, "use_absolute_embeddings"),
        ({"hidden_act": "mish"}, "hidden_act"),
        ({"windwo_size": 7}, 'Did you mean "window_size"'),
        ({"architectures": ["SwinForMaskedImageModeling"]}, "SwinForMaskedImageModeling"),
        ({"architectures": {"a": 3}}, "architectures"),
        ({"architectures": [[]]}, "architectures"),
    ],
    ids=str,
)
def test_what_a_configuration_may_not_say(change, told):
    read, config = FAMILY.formats["hf"].read_config, FAMILY.formats["hf"].write_config(FAMILY.sizes["swin-digits"])
    assert read(config) == FAMILY.sizes["swin-digits"]
    with pytest.raises(ConfigError, match=told):
        read(config | change)


@pytest.mark.parametrize("size", FAMILY.sizes)
def test_every_size_in_both_formats(size):
    """The configuration comes back as it was; in timm's, where it can, with shift_first."""
    cfg, (hf, timm) = FAMILY.sizes[size], (FAMILY.formats[name] for name in ("hf", "timm"))
    assert hf.read_config(hf.write_config(cfg)) == cfg
    assert timm.read_config(timm.write_config(cfg)) == replace(cfg, shift_first=True)
