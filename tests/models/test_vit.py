from dataclasses import replace
from typing import Any

import pytest
import torch

from models.tiny import SMALL, Small, make
from qkv.base.config import from_dict, to_dict
from qkv.base.errors import ConfigError, ShapeError
from qkv.models.vit import FAMILY, PUBLISHED, SIZES, Config, ScaledBlock, Vit, maps, resize_positions
from qkv.nn.drop_path import DropPath

COUNTS = {
    "vit-tiny-patch16-224": 5_717_416,
    "vit-small-patch16-224": 22_050_664,
    "vit-base-patch16-224": 86_567_656,
    "vit-base-patch32-384": 88_297_192,
    "vit-large-patch16-224": 304_326_632,
    "vit-large-patch32-224": 306_535_400,
    "vit-huge-patch14-224": 632_045_800,
    "deit-base-distilled-patch16-224": 87_338_192,
    "dino-vits16": 21_665_664,
    "dinov2-giant": 1_136_479_232,  # without the vector of a hidden patch, 1,536 numbers that nothing trains here
    "dinov2-with-registers-base": 86_582_784,
}


def net(**changes: Any) -> Any:
    """Return a small net on pictures of 8 x 12 pixels with patches of 4: two rows, three columns."""
    cfg = replace(SMALL["vit-digits"].cfg, picture_size=(8, 12), patch=4, n_channels=3, n_labels=5)
    return make(Small(FAMILY, cfg), **changes)


@pytest.mark.parametrize("size", COUNTS)
def test_sizes_have_their_numbers_of_parameters(size):
    with torch.device("meta"):
        found = sum(p.numel() for p in Vit(SIZES[size]).parameters())
    assert found == COUNTS[size]


def test_published_numbers_are_near_ours_or_say_why():
    for size, published in PUBLISHED.items():
        with torch.device("meta"):
            found = sum(p.numel() for p in Vit(SIZES[size]).parameters())
        assert (
            abs(found / published.parameters - 1) < (0.15 if size == "deit-tiny-patch16-224" else 0.06)
            and published.why
        )


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 8, 12), "Image has 1 channel, the model wants 3 (RGB)."),
        ((3, 8, 13), "Image has 8 x 13 pixels, but the model cuts it into patches of 4 x 4"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(size, message):
    with pytest.raises(ShapeError) as caught:
        net()(torch.zeros(2, *size))
    assert message in str(caught.value)


def test_tokens_are_class_registers_and_patches_row_by_row():
    one = net(n_class=2, n_registers=3, head=None)
    with torch.no_grad():
        one.stack.blocks = torch.nn.ModuleList()
    one.stack.norm = torch.nn.Identity()
    picture = torch.randn(1, 3, 8, 12)
    x = one(picture)
    assert x.shape == (1, 2 + 3 + 6, 16)
    torch.testing.assert_close(x[:, :2], one.prefix + one.position[:, :2])
    assert torch.equal(x[:, 2:5], one.registers)
    patch = one.patches(picture[:, :, 4:8, 8:12])[0, 0, 0]  # second row, third column
    torch.testing.assert_close(x[0, 2 + 3 + 5], patch + one.position[0, 2 + 5])


def test_without_positions_patches_are_a_set():
    one, pictures = net(reads="first_and_mean"), torch.randn(2, 3, 8, 12)
    parts = pictures.unfold(2, 4, 4).unfold(3, 4, 4).flatten(2, 3)  # b c (rows columns) 4 4
    order = torch.tensor([4, 1, 5, 0, 2, 3])
    moved = parts[:, :, order].unflatten(2, (2, 3)).permute(0, 1, 2, 4, 3, 5).reshape(2, 3, 8, 12)
    assert (one(moved) - one(pictures)).abs().max() > 1e-2
    with torch.no_grad():
        one.position.zero_()
    torch.testing.assert_close(one(moved), one(pictures), rtol=0, atol=1e-5)


def test_a_batch_is_its_rows():
    one, pictures = net(), torch.randn(3, 3, 8, 12)
    torch.testing.assert_close(one(pictures), torch.cat([one(p[None]) for p in pictures]), rtol=0, atol=1e-5)


def test_the_pair_of_heads_is_averaged():
    one, pictures = net(n_class=2, reads="each"), torch.randn(2, 3, 8, 12)
    states = one.encode(pictures)
    scores = one.scores(states)
    assert torch.equal(scores[:, 0], one.heads[0](states[:, 0])) and torch.equal(
        scores[:, 1], one.heads[1](states[:, 1])
    )
    assert torch.equal(one(pictures), scores.mean(1))


def test_what_the_summary_is():
    states = torch.randn(2, 1 + 2 + 6, 16)
    first, mean = states[:, 0], states[:, 3:].mean(1)
    for reads, wanted in {"first": first, "first_and_mean": first, "mean": mean}.items():
        assert torch.equal(net(n_registers=2, reads=reads).summary(states), wanted)
        late = net(n_registers=2, reads=reads, norm_late=True)
        assert torch.equal(late.summary(states), late.norm_late(wanted))
    pooled = net(n_registers=2, pooler=True)
    assert torch.equal(pooled.summary(states), pooled.pooler(first).tanh())


def test_no_pass_reads_the_mask_token():
    one, pictures = net(mask_token=True), torch.randn(2, 3, 8, 12)
    before = one(pictures)
    one.mask.fill_(torch.nan)
    assert torch.equal(one(pictures), before) and "mask" in one.state_dict()


def test_layer_scale_begins_at_its_value_and_scales_what_is_added():
    fresh = Vit(replace(net().cfg, layer_scale=0.25))
    assert all((block.scale_mlp == 0.25).all() and isinstance(block, ScaledBlock) for block in fresh.stack)  # type: ignore[union-attr]
    zero = net(layer_scale=1.0, norm_late=True, head=None)
    with torch.no_grad():
        for block in zero.stack:
            block.scale_attention.zero_()
            block.scale_mlp.zero_()
    pictures = torch.randn(1, 3, 8, 12)
    torch.testing.assert_close(zero(pictures)[:, 1:], zero.patches(pictures).flatten(1, 2) + zero.position[:, 1:])


@pytest.mark.parametrize("layer_scale", [None, 1.0])
def test_stochastic_depth_rises_with_depth_and_is_of_training_alone(layer_scale):
    one, pictures = net(dropout_path=0.4, n_layers=3, layer_scale=layer_scale), torch.randn(64, 3, 8, 12)
    rates = [module.rate.item() for block in one.stack for module in block.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0, 0.2, 0.4])
    assert torch.equal(one(pictures), one(pictures))
    one.train()
    assert not torch.equal(one(pictures), one(pictures))
    assert not any(isinstance(module, DropPath) for module in net().modules())


def test_resized_positions_are_kept_in_the_configuration(tmp_path):
    one, pictures = net(), torch.randn(2, 3, 16, 8)
    wanted = one(pictures)
    resize_positions(one, (4, 2))
    assert one.cfg.picture_size == (16, 8) and one.cfg.grid == (4, 2) and one.position.requires_grad
    assert torch.equal(one(pictures), wanted)
    again = Vit(from_dict(Config, to_dict(one.cfg), "here"))
    again.load_state_dict(one.state_dict())
    assert torch.equal(again.eval()(pictures), wanted)


def test_maps_lie_on_the_grid():
    assert [(spec.layer, spec.grid, spec.heads) for spec in maps(net().cfg)] == [(0, (2, 3), 4), (1, (2, 3), 4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": 15}, r"d_model \(15\) must be a multiple of n_heads \(4\)"),
        ({"picture_size": (8, 10)}, r"picture_size is 8 x 10; both must be multiples of patch \(4\)"),
        ({"picture_size": (0, 8)}, "picture_size is 0 x 8"),
        ({"patch": 0}, r"multiples of patch \(0\)"),
        ({"picture_size": (4 * 1025, 8)}, "more than 1,024 a side"),
        ({"n_class": 0}, "n_class is 0"),
    ],
)
def test_configurations_that_make_no_net_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(net().cfg, **change)
