"""What nets of pictures promise, for any input: hypothesis draws pictures and orders; ViT and Swin must hold."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import qkv
from models.tiny import SMALL, difference, make
from qkv.nn.attention import Attend
from qkv.nn.windows import WindowAttention

KINDS = {
    name: SMALL[name]
    for name in (
        "vit-tiny-patch16-224",
        "deit-tiny-distilled-patch16-224",
        "dinov2-with-registers-small",
        "swin-tiny-patch4-window7-224",
        "swin shift_first=True",
    )
    if name in SMALL
}
kinds = pytest.mark.parametrize("small", KINDS.values(), ids=KINDS)
seeds = st.integers(0, 2**32)
examples = settings(max_examples=8)
NEAR = 3e-6


def draw(small: Any, seed: int, n: int = 3, size: tuple[int, int] | None = None) -> tuple[Any, torch.Tensor]:
    torch.manual_seed(seed)
    return make(small), torch.rand(n, small.cfg.n_channels, *(size or small.cfg.picture_size))


def test_the_kinds_are_what_they_stand_for():
    assert len(KINDS) == 5 and {small.family.name for small in KINDS.values()} == {"vit", "swin"}
    specs: list[Any] = [spec for name in [*KINDS][3:] for spec in KINDS[name].family.maps(KINDS[name].cfg)]
    assert any(any(spec.shift) for spec in specs)
    assert any(side % window for spec in specs for side, window in zip(spec.grid, spec.window, strict=True)), "padded"


@kinds
@examples
@given(seed=seeds, n=st.integers(1, 4), size=st.sampled_from([(24, 20), (20, 28), (36, 12)]))
def test_a_batch_is_its_rows_in_any_order_and_at_any_size(small, seed, n, size):
    net, pictures = draw(small, seed, n, size)
    whole = net(pictures)
    assert difference(torch.cat([net(one[None]) for one in pictures]), whole) <= NEAR
    assert difference(net(pictures.flip(0)), whole.flip(0)) <= NEAR
    if n > 1:
        assert difference(whole[:1], whole[1:2]) > 1e-4, "a net that sees nothing would hold, too"


@kinds
@examples
@given(seed=seeds)
def test_the_maps_shown_are_those_used(small, seed):
    net, pictures = draw(small, seed)
    used: list[Any] = []
    seats = [module for module in net.modules() if isinstance(module, Attend)]
    hooks = [seat.register_forward_hook(lambda _, x, y: used.append((x[2], y))) for seat in seats]
    with qkv.look(net) as seen:
        net(pictures)
    for hook in hooks:
        hook.remove()
    assert len(used) == len(seen.maps)
    for spec, (v, mixed) in zip(seen.maps, used, strict=True):
        weights = seen.weights(spec.layer, "self", "picture")
        torch.testing.assert_close(weights @ v, mixed, rtol=NEAR, atol=NEAR)
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]), rtol=0, atol=NEAR)


@examples
@given(seed=seeds)
def test_places_that_are_no_neighbours_do_not_see_each_other(seed):
    """Of a shifted map the windows at the rim hold places from both sides, and padding; the maps shown say so."""
    small = KINDS["swin-tiny-patch4-window7-224"]
    net, pictures = draw(small, seed)
    with qkv.look(net) as seen:
        net(pictures)
    blocks = [block for stage in net.stages for block in stage.blocks]
    cuts = [(stage.plain, stage.shifted)[i % 2] for stage in net.stages for i in range(len(stage.blocks))]
    n_apart = 0
    for spec, block, cutter in zip(seen.maps, blocks, cuts, strict=True):
        assert isinstance(block.attention, WindowAttention)
        if cutter.apart is not None:
            weights = seen.weights(spec.layer, "self", "picture")
            apart = (cutter.apart < 0).repeat(3, 1, 1)[:, None].expand_as(weights)
            n_apart += int(apart.sum())
            assert weights[apart].lt(1e-30).all(), "100 less in the score, as in the references"
            assert weights[~apart].gt(0).all()
    assert n_apart


@pytest.mark.parametrize("name", ["vit-tiny-patch16-224", "dinov2-with-registers-small"])
@examples
@given(seed=seeds, order=st.permutations(range(6)))
def test_a_vit_without_positions_is_equivariant(name, seed, order):
    """Patches that change places take their states along; what stands for the picture stays. With positions neither."""
    small = KINDS[name]
    net, pictures = draw(small, seed, 2, (12, 8))
    tiles = pictures.unflatten(3, (2, 4)).unflatten(2, (3, 4)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # b n c 4 4
    mixed = tiles[:, order].unflatten(1, (3, 2)).permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
    first = small.cfg.n_class + small.cfg.n_registers
    moved = [*range(first), *(first + i for i in order)]
    if list(order) != list(range(6)):
        assert difference(net.encode(mixed), net.encode(pictures)[:, moved]) > 1e-3
    with torch.no_grad():
        net.position.zero_()
    assert difference(net.encode(mixed), net.encode(pictures)[:, moved]) <= NEAR
    assert difference(net(mixed), net(pictures)) <= NEAR if small.cfg.head else True


@kinds
@examples
@given(seed=seeds)
def test_gradients_reach_every_pixel(small, seed):
    net, pictures = draw(small, seed, 1)
    (grad,) = torch.autograd.grad(net(pictures.requires_grad_()).square().sum(), pictures)
    assert grad.isfinite().all() and grad.ne(0).all()


def test_a_swin_is_no_set_of_patches():
    """Its tables of offsets know directions: a mirrored picture is another one."""
    small = KINDS["swin-tiny-patch4-window7-224"]
    net, pictures = draw(small, 0)
    assert difference(net(pictures.flip(3)), net(pictures)) > 1e-3
