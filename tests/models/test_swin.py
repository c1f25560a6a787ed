"""What is particular to Swin; that it equals its references is shown by tests/parity."""

from dataclasses import replace

import pytest
import torch

from models.tiny import SMALL, make
from qkv.base.errors import ConfigError, ShapeError
from qkv.models import get_family
from qkv.models.swin import PUBLISHED, SIZES, Config
from qkv.nn.where import Where

SWIN = get_family("swin")
DIGITS = SMALL["swin-digits"]
TINY = SIZES["swin-tiny-patch4-window7-224"]


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_sizes(size):
    with torch.device("meta"):
        net = SWIN.net(SIZES[size])
    assert sum(p.numel() for p in net.parameters()) == PUBLISHED[size].parameters


def test_maps_of_the_published_size():
    """Layers are numbered through the stages; the last stage is one window, so nothing is shifted there."""
    maps = SWIN.maps(TINY)
    assert [spec.layer for spec in maps] == list(range(12))
    assert [spec.heads for spec in maps] == [3] * 2 + [6] * 2 + [12] * 6 + [24] * 2
    assert [spec.grid for spec in maps] == [(56, 56)] * 2 + [(28, 28)] * 2 + [(14, 14)] * 6 + [(7, 7)] * 2
    assert [spec.shift for spec in maps] == [(0, 0), (3, 3)] * 5 + [(0, 0)] * 2
    assert {spec.window for spec in maps} == {(7, 7)}
    assert len({(spec.grid, spec.heads, spec.shift) for spec in maps}) == 7, "a compiled block has room for 8 graphs"


def test_a_net_made_for_another_size_says_the_same():
    """Without `shift_first` nothing but the tables that are kept depends on the configured size."""
    net, other = make(DIGITS), make(DIGITS, picture_size=(40, 24))
    other.load_state_dict(net.state_dict())
    for size in ((24, 20), (40, 24), (29, 9), (4, 3)):
        pictures = torch.randn(2, 1, *size)
        assert torch.equal(net(pictures), other(pictures)), size


@pytest.mark.parametrize("shift_first", [False, True])
@pytest.mark.parametrize("size", [(24, 20), (41, 18), (5, 30)], ids=str)
def test_a_batch_is_its_pictures(size, shift_first):
    net, pictures = make(DIGITS, shift_first=shift_first), torch.randn(3, 1, *size)
    together = net(pictures)
    for i in range(3):
        assert (together[i] - net(pictures[i : i + 1])[0]).abs().max() <= 1e-5 * together.abs().max()


@pytest.mark.parametrize(("layer", "rows", "columns"), [(0, (3, 4, 5), (3, 4)), (1, (4, 5), (4,))])
def test_a_layer_sees_no_farther_than_its_window(layer, rows, columns):
    """A map of 6 x 5, its last place changed: windows of 3 x 3, moved by one in the second layer."""
    stage = make(DIGITS).stages[0]
    a = torch.randn(1, 6, 5, 16)
    b = a.clone()
    b[:, 5, 4] += 1
    cutter = (stage.plain, stage.shifted)[layer]
    seen = [stage.blocks[layer](x.flatten(1, 2), Where(windows=cutter(x))) for x in (a, b)]
    changed = (seen[0] != seen[1]).any(-1).view(6, 5).nonzero().tolist()
    assert changed == [[y, x] for y in rows for x in columns]


def test_pictures_that_do_not_fit():
    net = make(DIGITS)
    with pytest.raises(ShapeError, match="Image has 3 channels, the model wants 1"):
        net(torch.randn(1, 3, 24, 20))
    with pytest.raises(ShapeError, match="Image has 0 x 8 pixels"):
        net(torch.randn(1, 1, 0, 8))


def test_stochastic_depth_rises_through_all_stages():
    net = SWIN.net(replace(DIGITS.cfg, dropout_path=0.3))
    rates = [float(block.drop[1].rate) for stage in net.stages for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    pictures = torch.randn(8, 1, 24, 20)
    assert not torch.equal(net.train()(pictures), net(pictures))
    assert torch.equal(net.eval()(pictures), net(pictures))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"depths": (2, 2, 2)}, "must be of the same 1 to 8 stages"),
        ({"depths": (), "heads": ()}, "must be of the same 1 to 8 stages"),
        ({"depths": (2, 0, 6, 2)}, "depths is 0"),
        ({"heads": (3, 6, 12, 25)}, "stage 4"),
        ({"heads": (3, 6, 12, 0)}, "heads is 0"),
        ({"picture_size": (0, 224)}, "picture_size is 0"),
        ({"patch": 0}, "patch is 0"),
        ({"window": 1000}, "in windows of 1000 x 1000"),
        ({"window": 0}, "window is 0"),
        ({"picture_size": (16000, 16000)}, "a map of 4000 x 4000"),
        ({"dropout_path": 1.0}, "dropout_path is 1.0"),
        ({"mlp_ratio": 0.001}, "mlp_ratio"),
        ({"mlp_ratio": float("nan")}, "mlp_ratio"),
        ({"n_labels": 0}, "n_labels is 0"),
    ],
)
def test_configurations_that_no_net_can_have(change, told):
    with pytest.raises(ConfigError, match=told):
        Config(**change)


def test_weights_are_drawn_as_published():
    net = SWIN.net(SIZES["swin-digits"])
    for name, parameter in net.named_parameters():
        if name.endswith(("norm.weight", "norm_attention.weight", "norm_mlp.weight", "norm_patches.weight")):
            assert (parameter == 1).all()
        elif name.startswith("patches"):
            continue
        elif parameter.dim() == 1:
            assert not parameter.any(), name
        else:
            assert 0.01 < parameter.std() < 0.03, name
