"""How likely a causal language model finds given tokens. It knows token ids, no text."""

import inspect
from collections.abc import Sequence

import torch

from thought1.engines.hf import HFEngine
from thought1.engines.padding import Ids
from thought1.engines.prefix import PrefixCache

BATCH = 16
"""Sequences that go through the model together."""


@torch.inference_mode()
def mean_logprobs(
    engine: HFEngine, prefix: Ids, contexts: Sequence[Ids], targets: Sequence[Ids]
) -> list[float]:
    """The mean log-probability, in nats, of the tokens of each target after its context.

    Products are those of thoughts.

    Args:
        prefix: what all contexts begin with; it is read once where the model shares prefixes.
        contexts: n sequences, none of them empty where the prefix is.
        targets: n sequences of 1 token or more.
    """
    # The last token of the prefix is read again: it may be what a target's first token follows.
    shared, last = prefix[:-1], prefix[-1:]
    rows = [[*last, *context, *target] for context, target in zip(contexts, targets, strict=True)]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    found = [0.0] * len(rows)
    prefixes = PrefixCache(engine.model)
    with engine.thinking():
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            counts = [len(targets[i]) for i in places]
            means = _batch(engine, prefixes, shared, [rows[i] for i in places], counts)
            for place, mean in zip(places, means, strict=True):
                found[place] = mean
    return found


def _batch(
    engine: HFEngine,
    prefixes: PrefixCache,
    prefix: Ids,
    rows: Sequence[list[int]],
    counts: Sequence[int],
) -> list[float]:
    """Of the last `counts[i]` tokens of each row."""
    read = [row[:-1] for row in rows]
    cache, batch, mask_BK = engine.start(prefix, read, prefixes)
    width = batch.ids_BT.shape[1]
    left = engine.padding_side == "left"
    ends = [width if left else len(row) for row in read]
    first = min(end - count for end, count in zip(ends, counts, strict=True))
    model = engine.model
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    logits_BTV = model(
        input_ids=batch.ids_BT,
        attention_mask=mask_BK,
        past_key_values=cache,
        use_cache=True,
        **engine.positions((mask_BK.cumsum(1) - 1).clamp(min=0)[:, -width:]),
        **({"logits_to_keep": width - first} if keeps else {}),
    ).logits
    skipped = first if keeps else 0
    means = []
    for logits_TV, row, end, count in zip(logits_BTV, rows, ends, counts, strict=True):
        logprobs_TV = logits_TV[end - count - skipped : end - skipped].float().log_softmax(-1)
        target_T1 = torch.tensor(row[-count:], device=logprobs_TV.device)[:, None]
        means.append(logprobs_TV.gather(1, target_T1).mean().item())
    return means
