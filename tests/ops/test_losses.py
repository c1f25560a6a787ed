import pytest
import torch
import torch.nn.functional as F

from qkv.ops.losses import token_loss

PAD = 0


def example(b: int = 4, t: int = 5, v: int = 11) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits, targets = torch.randn(b, t, v).mul(3).requires_grad_(), torch.randint(1, v, (b, t))
    mask = torch.arange(t) < torch.randint(1, t + 1, (b, 1))
    return logits, targets.masked_fill(~mask, PAD), mask


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_loss_is_torchs_with_label_smoothing(smoothing):
    logits, targets, mask = example()
    total, plain = token_loss(logits, targets, mask, smoothing)
    options = {"ignore_index": PAD, "reduction": "sum"}
    wanted = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), label_smoothing=smoothing, **options)
    torch.testing.assert_close(total, wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        plain, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), **options), rtol=1e-6, atol=0
    )
    (ours,) = torch.autograd.grad(total, logits)
    (theirs,) = torch.autograd.grad(wanted, logits)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert not plain.requires_grad


def test_padding_counts_nothing_whatever_its_label():
    logits, targets, mask = example()
    assert not mask.all()
    other = targets.masked_fill(~mask, 7)
    assert torch.equal(token_loss(logits, targets, mask, 0.1)[0], token_loss(logits, other, mask, 0.1)[0])
    empty = token_loss(logits, targets, torch.zeros_like(mask), 0.1)
    assert [part.item() for part in empty] == [0.0, 0.0]


def test_half_precision_logits_are_summed_in_fp32_and_double_ones_in_double():
    logits, targets, mask = example()
    for dtype, wide in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        total, _ = token_loss(logits.to(dtype), targets, mask, 0.1)
        wanted, _ = token_loss(logits.to(dtype).double(), targets, mask, 0.1)
        assert total.dtype == wide
        torch.testing.assert_close(total.double(), wanted, rtol=1e-6 if wide == torch.float32 else 0, atol=0)


def test_sums_over_parts_weighted_by_tokens_equal_one_large_batch():
    """k micro-batches of b pairs give the gradient of one batch of k b pairs, though they hold unequal many tokens."""
    logits, targets, mask = example(b=12)
    weight = torch.randn(11, 11, requires_grad=True)
    counts = [int(part.sum()) for part in mask.split(3)]
    assert len(set(counts)) > 1
    (whole,) = torch.autograd.grad(token_loss(logits.detach() @ weight, targets, mask, 0.1)[0] / sum(counts), weight)
    summed = torch.zeros_like(weight)
    for part, labels, real in zip(logits.detach().split(3), targets.split(3), mask.split(3), strict=True):
        summed += torch.autograd.grad(token_loss(part @ weight, labels, real, 0.1)[0], weight)[0]
    torch.testing.assert_close(summed / sum(counts), whole, rtol=0, atol=1e-6)
