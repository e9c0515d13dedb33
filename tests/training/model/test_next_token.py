"""The next-token loss in blocks equals torch's cross entropy, and so does its gradient."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from thought1.training.model.next_token import ROWS, next_token

VOCABULARY = 31


def example(rows: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    logits = 4 * torch.randn(rows, VOCABULARY, generator=generator)
    targets = torch.randint(0, VOCABULARY, (rows,), generator=generator)
    return logits.to(dtype).requires_grad_(), targets


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, logits)
    return found


@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 5])
def test_equals_cross_entropy(rows: int) -> None:
    logits, targets = example(rows)
    found, expected = next_token(logits, targets), F.cross_entropy(logits, targets)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, logits), gradient(expected, logits))


def test_bfloat16_is_summed_in_float32() -> None:
    logits, targets = example(5 * ROWS, torch.bfloat16)
    found = next_token(logits, targets)
    expected = F.cross_entropy(logits.float(), targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    slope = gradient(found, logits)
    assert slope.dtype == torch.bfloat16
    torch.testing.assert_close(slope, gradient(expected, logits), rtol=2e-2, atol=1e-5)


def test_autocast_changes_nothing() -> None:
    logits, targets = example(ROWS + 1, torch.bfloat16)
    plain = next_token(logits, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = next_token(logits, targets)
    assert found.dtype == torch.float32
    assert torch.equal(found, plain)
    assert torch.equal(gradient(found, logits), gradient(plain, logits))


def test_the_derivative_in_double_precision() -> None:
    logits, targets = example(ROWS + 2, torch.float64)
    assert next_token(logits, targets).dtype == torch.float64
    assert torch.autograd.gradcheck(next_token, (logits, targets))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_scaled_losses_of_several_batches_add_up(dtype: torch.dtype) -> None:
    """As in gradient accumulation: what comes behind the loss reaches the gradient."""
    logits, targets = example(2 * ROWS, dtype)
    weighted = 3 * next_token(logits[:ROWS], targets[:ROWS]) / 4
    weighted = weighted + next_token(logits[ROWS:], targets[ROWS:]) / 4
    wide = logits.detach().float().requires_grad_()
    expected = 3 * F.cross_entropy(wide[:ROWS], targets[:ROWS]) / 4
    expected = expected + F.cross_entropy(wide[ROWS:], targets[ROWS:]) / 4
    tolerance = 1e-6 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(
        gradient(weighted, logits).float(), gradient(expected, wide), rtol=tolerance, atol=1e-6
    )


def test_nothing_to_predict_is_a_zero_with_a_graph() -> None:
    logits, _ = example(0)
    loss = next_token(logits * 2, torch.zeros(0, dtype=torch.long))
    assert loss == 0
    assert gradient(loss, logits).shape == (0, VOCABULARY)


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], requires_grad=True)
    targets = torch.tensor([1, 2])
    found, expected = next_token(logits, targets), F.cross_entropy(logits, targets)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, logits), gradient(expected, logits))


def test_the_logits_are_left_as_they_are() -> None:
    logits, targets = example(ROWS + 1)
    before = logits.detach().clone()
    next_token(logits, targets).backward()
    assert torch.equal(logits, before)


def test_without_a_gradient() -> None:
    logits, targets = example(ROWS + 1)
    with torch.no_grad():
        found = next_token(logits.detach(), targets)
    torch.testing.assert_close(found, F.cross_entropy(logits, targets).detach())
