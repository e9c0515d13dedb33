"""The mean cross entropy of next tokens, with little memory: a few rows of logits at a time.

`torch.nn.functional.cross_entropy` widens all logits to float32 several times over; with a
vocabulary of 19,400 that took more than half of a training step of t1-nano. Here the gradient is
computed along with the loss, in the type of the logits, and float32 exists for one block of rows
only. Without a second derivative. The idea is that of Liger Kernel (arXiv 2410.10989).
"""

from typing import Any

import torch
from torch import Tensor

ROWS = 64
"""Rows that are widened at a time: they stay in a processor's cache."""


def next_token(logits_MV: Tensor, targets_M: Tensor) -> Tensor:
    """Mean cross entropy of M tokens, in nats, float32 or wider; 0 with a graph if M is 0."""
    loss: Tensor = _NextToken.apply(logits_MV, targets_M)  # type: ignore[no-untyped-call]
    return loss


class _NextToken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_MV: Tensor, targets_M: Tensor) -> Tensor:
        wide = torch.promote_types(logits_MV.dtype, torch.float32)
        total = logits_MV.new_zeros((), dtype=wide)
        gradient_MV = torch.empty_like(logits_MV) if ctx.needs_input_grad[0] else None
        for start in range(0, len(targets_M), ROWS):
            block_RV = logits_MV[start : start + ROWS].to(wide, copy=True)
            targets_R1 = targets_M[start : start + ROWS, None]
            norms_R1 = block_RV.logsumexp(1, keepdim=True)
            total += (norms_R1 - block_RV.gather(1, targets_R1)).sum()
            if gradient_MV is not None:
                block_RV.sub_(norms_R1).exp_()
                block_RV.scatter_add_(1, targets_R1, -torch.ones_like(norms_R1))
                gradient_MV[start : start + ROWS] = block_RV
        ctx.save_for_backward(gradient_MV)
        return total / max(len(targets_M), 1)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, None]:
        (gradient_MV,) = ctx.saved_tensors
        return gradient_MV * (outer[0] / max(len(gradient_MV), 1)), None
