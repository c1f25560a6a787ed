import math
from typing import Any

import pytest
import torch

from models.tiny import difference
from qkv.base.errors import ShapeError
from qkv.ops.attend import attend, attend_weights, mix
from qkv.ops.attend_long import attend_long, is_long
from qkv.ops.linear import HAS_ONEDNN
from qkv.ops.masks import causal_mask

B, H, T, S, D, E = 2, 4, 3, 5, 8, 6


def inputs(g: int = H, t: int = T, s: int = S, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    return tuple(torch.randn(shape, dtype=dtype) for shape in ((B, H, t, D), (B, g, s, D), (B, g, s, E)))


def loop(q, k, v, *, mask=None, bias=None, causal=False, scale=None):
    """Equation 1 of Vaswani et al., one number at a time; query head h reads key head h // (n_heads / n_kv_heads)."""
    b_, h_, t_, s_, d = *q.shape[:3], k.size(2), q.size(3)
    mask = torch.ones(t_, s_, dtype=torch.bool) if mask is None else mask
    mask = mask.expand(b_, h_, t_, s_)
    bias = (torch.zeros(1, dtype=q.dtype) if bias is None else bias).expand(b_, h_, t_, s_)
    out, weights = q.new_zeros(b_, h_, t_, v.size(-1)), q.new_zeros(b_, h_, t_, s_)
    for b in range(b_):
        for h in range(h_):
            g = h // (h_ // k.size(1))
            for t in range(t_):
                powers = {}
                for s in range(s_):
                    if mask[b, h, t, s] and (s <= t or not causal):
                        score = sum((q[b, h, t, i] * k[b, g, s, i]).item() for i in range(d))
                        powers[s] = math.exp(score * (d**-0.5 if scale is None else scale) + bias[b, h, t, s].item())
                for s, power in powers.items():
                    if total := sum(powers.values()):
                        weights[b, h, t, s] = power / total
                        out[b, h, t] += weights[b, h, t, s] * v[b, g, s]
    return out, weights


def some(*shape: int) -> torch.Tensor:
    """Return a random mask in which the first row may look nowhere and every other row somewhere."""
    mask = torch.rand(shape) < 0.5
    mask[..., 0] = True
    mask[(0,) * (len(shape) - 1)] = False
    return mask


CASES = {
    "plain": dict,
    "scaled": lambda: {"scale": 0.7},
    "mask (t, s)": lambda: {"mask": some(T, S)},
    "mask (b, 1, 1, s)": lambda: {"mask": some(B, 1, 1, S)},
    "mask (b, h, t, s)": lambda: {"mask": some(B, H, T, S)},
    "bias (t, s)": lambda: {"bias": torch.randn(T, S).double()},
    "bias (1, h, t, s), masked": lambda: {"bias": torch.randn(1, H, T, S).double().masked_fill(~some(T, S), -math.inf)},
    "bias and scale": lambda: {"bias": torch.randn(B, 1, T, S).double(), "scale": 0.3},
}


@pytest.mark.parametrize("g", [4, 2, 1])
@pytest.mark.parametrize("case", CASES)
def test_both_forms_equal_a_plain_loop(case, g):
    q, k, v = inputs(g)
    options = CASES[case]()
    out, weights = loop(q, k, v, **options)
    exact, seen = attend_weights(q, k, v, **options)
    torch.testing.assert_close(exact, out, rtol=0, atol=1e-12)
    torch.testing.assert_close(seen, weights, rtol=0, atol=1e-12)
    torch.testing.assert_close(attend(q, k, v, **options), out, rtol=0, atol=1e-12)


@pytest.mark.parametrize("g", [4, 2])
def test_causal_is_the_causal_mask_and_a_bias_of_minus_infinity(g):
    q, k, v = inputs(g, t=S)
    out, weights = loop(q, k, v, causal=True)
    mask = causal_mask(S, S)
    bias = torch.zeros(S, S, dtype=torch.float64).masked_fill(~mask, -math.inf)
    three_ways: list[dict[str, Any]] = [{"causal": True}, {"mask": mask}, {"bias": bias}]
    for options in three_ways:
        torch.testing.assert_close(attend(q, k, v, **options), out, rtol=0, atol=1e-12)
        torch.testing.assert_close(attend_weights(q, k, v, **options)[1], weights, rtol=0, atol=1e-12)
    assert weights.triu(1).eq(0).all() and weights.tril().gt(0).sum() == B * H * S * (S + 1) // 2


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 2e-6), (torch.bfloat16, 3e-2)])
def test_the_fused_form_equals_the_exact_one_in_other_types(dtype, bound):
    q, k, v = inputs(2, dtype=dtype)
    fused, (exact, weights) = attend(q, k, v), attend_weights(q, k, v)
    assert fused.dtype == exact.dtype == weights.dtype == dtype
    assert (fused.float() - exact.float()).abs().max() <= bound


@pytest.mark.parametrize("form", [attend, attend_weights])
def test_a_row_that_may_look_nowhere_gives_zeros_and_finite_gradients(form):
    for options in ({"mask": some(T, S)}, {"bias": torch.zeros(T, S).masked_fill(~some(T, S), -math.inf).double()}):
        q, k, v = (x.requires_grad_() for x in inputs())
        parts = form(q, k, v, **options)
        parts = parts if isinstance(parts, tuple) else (parts,)
        assert all(part[:, :, 0].eq(0).all() and part.isfinite().all() for part in parts)
        grads = torch.autograd.grad(torch.cat(parts, -1).square().sum(), (q, k, v))
        assert all(grad.isfinite().all() and grad.ne(0).any() for grad in grads)
        assert grads[0][:, :, 0].eq(0).all()


def test_weights_are_a_distribution_over_what_may_be_seen():
    mask = some(B, H, T, S)
    weights = attend_weights(*inputs(), mask=mask)[1]
    torch.testing.assert_close(weights.sum(-1), mask.any(-1).double(), rtol=0, atol=1e-12)
    assert weights[~mask].eq(0).all()


@pytest.mark.parametrize("form", [attend, attend_weights])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"mask": torch.ones(T, S, dtype=torch.bool), "bias": torch.zeros(T, S).double()},
            "a mask or a bias, not both",
        ),
        ({"causal": True}, "here are 3 queries, 5 keys"),
    ],
)
def test_what_cannot_be_meant_is_refused(form, options, message):
    with pytest.raises(ShapeError, match=message):
        form(*inputs(), **options)


@pytest.mark.parametrize("form", [attend, attend_weights])
def test_causal_takes_no_other_mask(form):
    square = torch.ones(S, S, dtype=torch.bool)
    for options in ({"mask": square}, {"bias": square.double()}):
        with pytest.raises(ShapeError, match="and a mask or bias"):
            form(*inputs(t=S), causal=True, **options)


def test_mix_takes_scores_of_any_rank_and_kind():
    scores, values = torch.randn(2, 3, 4, dtype=torch.bfloat16), torch.randn(2, 4, 5, dtype=torch.bfloat16)
    mixed, weights = mix(scores, values)
    assert weights.dtype == torch.bfloat16
    torch.testing.assert_close(weights, scores.float().softmax(-1).bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(mixed, weights @ values, rtol=0, atol=0)


def test_products_grow_with_width_and_the_scale_keeps_the_softmax_soft():
    """The lectures' claim: at d_k = 1024 unscaled scores spread by 32, and the softmax's slope is lost."""
    q, k = torch.randn(512, 1024), torch.randn(64, 1024)
    scores = q @ k.T
    scaled = scores * 1024**-0.5
    assert 31 < scores.std() < 33 and 0.97 < scaled.std() < 1.03
    slopes = [(p * (1 - p)).mean() for p in (scaled.softmax(-1), scores.softmax(-1))]
    assert slopes[0] > 5 * slopes[1]
    heads = attend_weights(q[None, None], k[None, None], k[None, None])[1][0, 0]
    torch.testing.assert_close(heads, scaled.softmax(-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("g", [4, 2])
@pytest.mark.parametrize("n", [512, 700])
def test_long_inputs_are_attended_by_tiles_with_equal_results(n, g, causal):
    q, k, v = (torch.randn(2, n, heads, 16).transpose(1, 2) for heads in (4, g, g))
    assert is_long(q, k, v) == HAS_ONEDNN
    given = {"causal": causal, "scale": 0.7}
    assert difference(attend_long(q, k, v, causal=causal, scale=0.7), attend_weights(q, k, v, **given)[0]) <= 2e-6
    assert difference(attend(q, k, v, **given), attend_weights(q, k, v, **given)[0]) <= 2e-6


def test_tiles_are_for_long_inputs_in_float32_that_teach_nothing():
    q = torch.randn(1, 4, 512, 16)
    assert not any(is_long(x, x, x) for x in (q[:, :, 1:], q.double(), q.bfloat16(), q.to("meta")))
    learning = q.clone().requires_grad_()
    assert not is_long(q, q, learning)
    with torch.no_grad():
        assert is_long(q, q, learning) == HAS_ONEDNN
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_long(q, q, q)
