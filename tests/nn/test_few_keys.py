"""In bfloat16 on a CPU the seat multiplies few keys out: the same numbers as the fused kernel's, within the type."""

import pytest
import torch

from qkv.nn import attention
from qkv.nn.attention import FEW_KEYS, Attend
from qkv.nn.where import Where
from qkv.ops.attend import attend

MASK = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])[:, None, None]


def heads(n: int = 6, dtype: torch.dtype = torch.bfloat16) -> list[torch.Tensor]:
    return [torch.randn(2, 3, n, 8).to(dtype) for _ in range(3)]


@pytest.fixture
def fused(monkeypatch) -> list[int]:
    """How many keys each call of the fused form had."""
    calls: list[int] = []
    monkeypatch.setattr(
        attention, "attend", lambda q, k, v, **rest: (calls.append(k.size(2)), attend(q, k, v, **rest))[1]
    )
    return calls


@pytest.mark.parametrize(
    "where",
    [
        Where(),
        Where(causal=True),
        Where(mask=MASK),
        Where(bias=torch.zeros(2, 1, 6, 6).masked_fill(~MASK, float("-inf")).bfloat16()),
    ],
    ids=["all", "causal", "mask", "bias"],
)
def test_both_forms_give_the_same(where, fused):
    q, k, v = heads()
    mask = MASK if where.bias is not None else where.mask
    exact = attend(*(x.double() for x in (q, k, v)), mask=mask, causal=where.causal)
    assert (Attend()(q, k, v, where).double() - exact).abs().max() < 0.03
    assert not fused


def test_the_fused_form_is_for_other_types_for_many_keys_and_for_dropout(fused):
    Attend()(*heads(dtype=torch.float32), Where())
    Attend()(*heads(FEW_KEYS), Where())
    Attend()(*heads(FEW_KEYS + 1), Where())
    Attend(dropout=0.5)(*heads(), Where())
    assert fused == [6, FEW_KEYS + 1, 6]
    Attend(dropout=0.5).eval()(*heads(), Where())
    assert len(fused) == 3
