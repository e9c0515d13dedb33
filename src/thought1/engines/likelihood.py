"""How likely a causal language model finds given tokens. It knows token ids, no text."""

import inspect
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from thought1.engines.linear import onednn_linears
from thought1.engines.padding import pad

BATCH = 16
"""Sequences that go through the model together."""


@torch.inference_mode()
def mean_logprobs(
    model: PreTrainedModel, contexts: Sequence[Sequence[int]], target: Sequence[int]
) -> list[float]:
    """The mean log-probability, in nats, of the tokens of `target` behind each context.

    Args:
        contexts: n sequences of 1 token or more.
        target: 1 token or more.
    """
    order = sorted(range(len(contexts)), key=lambda i: len(contexts[i]))
    found = [0.0] * len(contexts)
    with onednn_linears(model):
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            means = _batch(model, [[*contexts[i], *target] for i in places], len(target))
            for place, mean in zip(places, means, strict=True):
                found[place] = mean
    return found


def _batch(model: PreTrainedModel, rows: Sequence[Sequence[int]], count: int) -> list[float]:
    # Padded on the left, all targets stand in the last columns.
    batch = pad(rows, left=True, device=model.device)
    known = inspect.signature(model.forward).parameters
    given: dict[str, object] = {}
    if "position_ids" in known:
        given["position_ids"] = (batch.mask_BT.cumsum(1) - 1).clamp(min=0)
    if "logits_to_keep" in known:
        given["logits_to_keep"] = count + 1
    logits_BTV = model(
        input_ids=batch.ids_BT, attention_mask=batch.mask_BT, use_cache=False, **given
    ).logits[:, -count - 1 : -1]
    targets_BT1 = batch.ids_BT[:, -count:, None]
    logprobs_BT = logits_BTV.float().log_softmax(-1).gather(2, targets_BT1)[..., 0]
    means: list[float] = logprobs_BT.mean(1).tolist()
    return means
