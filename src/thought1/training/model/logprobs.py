"""Log-probabilities of given tokens under a causal language model, through its own head.

Position ids come from the mask, so that padding changes nothing; some heads transform, scale or
cap what they read, so the model's own one computes the logits, at the wanted positions only. The
gradient recomputes a few rows of the distribution at a time. It knows tensors, no text.
"""

from typing import Any

import torch
from torch import Tensor, nn

from thought1.engines.decoding import completions
from thought1.training.model.embedder import head_reads
from thought1.types import Sampling

ROWS = 64
"""Rows that are widened at a time."""


def completion_logprobs(
    model: nn.Module,
    backbone: nn.Module,
    ids_BT: Tensor,
    mask_BT: Tensor,
    length: int,
    sampling: Sampling,
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities and entropies of the last `length` positions, and the vectors of the rows.

    Args:
        model: gives `.logits`; maybe wrapped for several processes.
        backbone: its part without the language head.
        ids_BT: prompts padded on the left, then completions of `length` positions, padded on the
            right.
        mask_BT: 1 on real tokens.
        sampling: how the completions were sampled, with its temperature and repetition control:
            what could not be sampled has no probability. `top_p` must be 1.

    Returns:
        (B, length) in nats, float32, 0 on padding; the same without a gradient; and (B, D), the
        last hidden state at the last real token of each row, not normalised.
    """
    width = ids_BT.shape[1]
    picked_BT = torch.zeros_like(mask_BT, dtype=torch.bool)
    picked_BT[:, width - length - 1 : -1] = mask_BT[:, width - length :].bool()
    positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
    with head_reads(backbone, picked_BT) as seen:
        logits_MV = model(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            use_cache=False,
        ).logits[0]
    targets_M = ids_BT[:, 1:][picked_BT[:, :-1]]
    if sampling.no_repeat_ngram:
        logits_MV = _blocked(logits_MV, ids_BT, mask_BT, length, sampling.no_repeat_ngram)
    logprobs_M, entropies_M = _TokenLogprobs.apply(logits_MV, targets_M, sampling.temperature)  # type: ignore[no-untyped-call]
    positions = mask_BT[:, width - length :].bool()
    logprobs_BC = logprobs_M.new_zeros(positions.shape).masked_scatter(positions, logprobs_M)
    entropies_BC = entropies_M.new_zeros(positions.shape).masked_scatter(positions, entropies_M)
    columns_T = torch.arange(width, device=ids_BT.device)
    last_B = (columns_T * mask_BT).argmax(1)
    rows_B = torch.arange(len(ids_BT), device=ids_BT.device)
    return logprobs_BC, entropies_BC, seen[0][rows_B, last_B].float()


def _blocked(logits_MV: Tensor, ids_BT: Tensor, mask_BT: Tensor, length: int, n: int) -> Tensor:
    """Logits without the tokens that would have completed an n-gram a second time."""
    rows, tokens = [], []
    row = 0
    for ids, mask in zip(ids_BT[:, -length:].tolist(), mask_BT[:, -length:].tolist(), strict=True):
        thought = ids[: sum(mask)]
        for end in range(len(thought)):
            found = completions(thought[:end], n)
            rows += [row] * len(found)
            tokens += found
            row += 1
    blocked = torch.zeros_like(logits_MV, dtype=torch.bool)
    blocked[rows, tokens] = True
    return logits_MV.masked_fill(blocked, -torch.inf)


class _TokenLogprobs(torch.autograd.Function):
    """Log-probabilities (M,) of targets and entropies (M,), of which no gradient flows."""

    @staticmethod
    def forward(
        ctx: Any, logits_MV: Tensor, targets_M: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        found, entropies = [], []
        for start in range(0, len(targets_M), ROWS):
            log_RV = _log_softmax(logits_MV[start : start + ROWS], temperature)
            found.append(log_RV.gather(1, targets_M[start : start + ROWS, None])[:, 0])
            possible_RV = log_RV.masked_fill(log_RV == -torch.inf, 0.0)
            entropies.append(-(log_RV.exp() * possible_RV).sum(1))
        ctx.save_for_backward(logits_MV, targets_M)
        ctx.temperature = temperature
        empty = logits_MV.new_zeros(0, dtype=torch.float32)
        entropies_M = torch.cat([empty, *entropies])
        ctx.mark_non_differentiable(entropies_M)
        return torch.cat([empty, *found]), entropies_M

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        logits_MV, targets_M = ctx.saved_tensors
        gradient_MV = torch.empty_like(logits_MV)
        for start in range(0, len(targets_M), ROWS):
            probs_RV = _log_softmax(logits_MV[start : start + ROWS], ctx.temperature).exp()
            probs_RV.neg_()
            targets_R1 = targets_M[start : start + ROWS, None]
            probs_RV.scatter_add_(1, targets_R1, torch.ones_like(targets_R1, dtype=probs_RV.dtype))
            scale_R1 = outer[0][start : start + ROWS, None] / ctx.temperature
            gradient_MV[start : start + ROWS] = probs_RV * scale_R1
        return gradient_MV, None, None


def _log_softmax(logits_RV: Tensor, temperature: float) -> Tensor:
    return (logits_RV.float() / temperature).log_softmax(1)
