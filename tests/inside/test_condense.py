"""What a page is given is the exact weights' within what the file's description promises."""

import numpy as np
import pytest
import torch

from inside.traces import random_weights, words_stream
from qkv.inside.condense import BUDGET, POOLED, choose_stores, condense, condense_windows, find_places, find_special
from qkv.inside.cuts import Cut
from qkv.inside.streams import PictureStream
from qkv.ops.tiles import Weighed
from qkv.ops.windows import find_windows

PICTURE = PictureStream(name="picture", grid=(2, 3), prefix=("[CLS]", "register 1"), size=(8, 12), image="")


def restored(found: dict[str, np.ndarray], name: str = "weights", largest: str = "rowmax") -> np.ndarray:
    return found[name] / 255.0 * found[largest].astype(np.float64)[..., None]


@pytest.mark.parametrize("causal", [False, True])
def test_bytes_are_within_a_255th_of_the_largest_of_their_row(causal):
    weights, text = random_weights(1, 3, 300, 300, causal=causal), words_stream(300)
    found = condense(Weighed(weights), "weights", text, text)
    error = np.abs(restored(found) - weights[0].double().numpy())
    assert (error <= weights[0].amax(-1, keepdim=True).numpy() / 255 * 0.51 + 1e-7).all()
    assert found["weights"].dtype == np.uint8 and (found["weights"].max(-1) == 255).all()


def test_weights_too_small_for_fp16_s_normal_numbers_keep_their_share():
    weights, text = torch.full((1, 1, 2, 30_000), 1 / 30_000), words_stream(30_000)
    found = condense(Weighed(weights), "weights", words_stream(2), text)
    np.testing.assert_allclose(restored(found), 1 / 30_000, rtol=1 / 255)


def test_a_row_that_looks_nowhere_is_zero():
    weights, text = random_weights(1, 2, 5, 5), words_stream(5)
    weights[:, :, 2] = 0
    found = condense(Weighed(weights), "weights", text, text)
    assert not found["weights"][:, 2].any() and not found["rowmax"][:, 2].any()
    assert all(np.isfinite(x).all() for x in found.values())


def test_facts_are_those_of_the_exact_weights():
    weights, text = random_weights(1, 2, 6, 6, causal=True), words_stream(6)
    found = condense(Weighed(weights), "weights", text, text)
    w = weights[0].double()
    np.testing.assert_allclose(found["entropy"], -torch.special.xlogy(w, w).sum(-1), atol=1e-6)
    np.testing.assert_allclose(found["received"], w.sum(1), atol=1e-6)
    np.testing.assert_allclose(found["special"], w[..., 0], atol=1e-6)
    i = torch.arange(6.0)
    apart = (i[:, None] - i).abs().double()
    np.testing.assert_allclose(found["diagonal"], (w * (apart <= 1)).sum(-1).mean(-1), atol=1e-6)
    rest = w[:, 1:, 1:] / w[:, 1:, 1:].sum(-1, keepdim=True)
    np.testing.assert_allclose(found["distance"][:, 1:], (rest * apart[1:, 1:]).sum(-1), atol=1e-5)
    assert all(found[name].dtype == np.float32 for name in ("entropy", "received", "special", "distance", "diagonal"))


def test_places_of_patches_lie_in_rows_and_columns_and_tokens_before_them_have_none():
    assert find_special(PICTURE, 8).tolist() == [True, True] + [False] * 6
    places = find_places(PICTURE, 8)
    assert places[:2].isnan().all() and places[2:].tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    weights = torch.zeros(1, 1, 8, 8)
    weights[0, 0, :, 7] = 1  # all look at the patch in the corner
    found = condense(Weighed(weights), "weights", PICTURE, PICTURE)
    np.testing.assert_allclose(found["distance"][0], [0, 0, 5**0.5, 2**0.5, 1, 2, 1, 0], atol=1e-6)


def test_beyond_the_budget_the_largest_of_each_row_and_means_are_kept():
    n = 300
    weights, text = random_weights(1, 2, n, n, causal=True), words_stream(n)
    found = condense(Weighed(weights), "top", text, text, top=5)
    values, indices = weights[0].topk(5)
    np.testing.assert_allclose(found["top.values"], values, rtol=1e-3, atol=1e-7)
    assert found["top.indices"].dtype == np.uint32
    assert (found["top.indices"].astype(int) == indices.numpy())[values.numpy() > 0].all()
    cells = torch.arange(n) * POOLED // n
    sums = torch.zeros(2, POOLED, POOLED).index_put_(
        (torch.arange(2)[:, None, None], cells[:, None], cells), weights[0], True
    )
    means = sums / (cells.bincount()[:, None] * cells.bincount())
    error = np.abs(restored(found, "pooled", "pooledmax") - means.numpy())
    assert (error <= means.amax(-1, keepdim=True).numpy() / 255 * 0.51 + 1e-7).all()


def test_stores_are_chosen_by_the_size_of_all():
    small = (12, 200, 200)
    assert choose_stores([small] * 12, top=16) == ["weights"] * 12
    assert choose_stores([(12, 512, 512)] * 12, top=16) == ["top"] * 12
    assert choose_stores([(12, 2000, 90), (12, 3000, 3000)], top=16) == ["weights", "top"], "a thin map gains nothing"
    assert choose_stores([(1, 140, 140), (12, 3000, 3000)], top=16)[0] == "weights", "a small one would grow"
    assert sum(h * t * s for h, t, s in [small] * 12) <= BUDGET


@pytest.mark.parametrize(("grid", "shift"), [((6, 6), (0, 0)), ((6, 6), (1, 1)), ((5, 7), (0, 0)), ((5, 7), (1, 1))])
def test_windows_lie_where_the_map_has_them(grid, shift):
    """Facts of the map, cut into windows, are those of the one large matrix that the windows stand for."""
    windows = find_windows(grid, (3, 3), shift, (3, 3))
    n = grid[0] * grid[1]
    places = windows.index.where(windows.index < n, torch.tensor(-1))
    scores = torch.randn(len(places), 2, 9, 9) * 3
    if windows.apart is not None:
        scores += windows.apart[:, None]
    weights = scores.softmax(-1)
    found = condense_windows(Weighed(weights), Cut(grid, (3, 3), shift, places))
    whole, padding = torch.zeros(2, n, n), torch.zeros(2, n)
    for window, w in zip(places, weights, strict=True):
        real = window >= 0
        whole[:, window[real][:, None], window[real]] = w[:, real][:, :, real]
        padding[:, window[real]] = w[:, real][:, :, ~real].sum(-1)
    np.testing.assert_allclose(found["received"], whole.sum(1), atol=1e-5)
    np.testing.assert_allclose(found["special"], padding, atol=1e-6)
    at = torch.cartesian_prod(torch.arange(float(grid[0])), torch.arange(float(grid[1])))
    distance = (whole * torch.cdist(at, at)).sum(-1) / whole.sum(-1)
    np.testing.assert_allclose(found["distance"], distance, atol=1e-4)
    np.testing.assert_array_equal(found["places"], places)
    np.testing.assert_allclose(restored(found), weights.transpose(0, 1), atol=1 / 255)
    assert found["entropy"].shape == (2, n) and (found["entropy"] > 0).all()
