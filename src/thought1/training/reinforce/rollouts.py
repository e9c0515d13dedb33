"""Rollouts: groups of thoughts sampled by the policy, with the vector of each, from one pass.

It knows the engine, token ids and tensors; no reward and no trainer.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from thought1.engines.padding import pad
from thought1.model.queries import PromptedQueries
from thought1.t1 import T1
from thought1.training.data.batches import Ids
from thought1.types import Generation, Sampling, Vectors


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """R thoughts, group by group."""

    prompts: Sequence[Ids]
    """Of each thought, `<emb_token>` not included."""
    thoughts: Sequence[Generation]

    @property
    def vectors_RD(self) -> Vectors:
        """The query vector after each thought."""
        return np.stack([thought.vector for thought in self.thoughts])


def sample_groups(
    model: T1, prompted: PromptedQueries, group_size: int, budget: int, sampling: Sampling
) -> RolloutBatch:
    """`group_size` thoughts after each prompt; a group reads its prompt once."""
    budgets, reader = [budget] * len(prompted.rows), model.queries.reader
    with evaluating(model):
        found = model.engine.generate(
            prompted.prefix,
            prompted.rows,
            budgets,
            sampling,
            copies=group_size,
            snapshots=reader.needed(()),
        )
    queries = [text for text in prompted.texts for _ in range(group_size)]
    thoughts = reader.read(queries, found, (), model.queries.decode)
    prompts = [[*prompted.prefix, *row] for row in prompted.rows for _ in range(group_size)]
    return RolloutBatch(prompts, thoughts)


@contextmanager
def evaluating(model: T1) -> Iterator[None]:
    """Inside, the network is in evaluation mode; then in that which it was in."""
    network = model.checkpoint.model
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def policy_tensors(
    rolled: RolloutBatch, kept_R: Sequence[bool], emb_id: int, device: torch.device
) -> dict[str, Tensor]:
    """What the policy loss reads, under trl's names.

    `prompt_ids`, `prompt_mask` (R, P), padded on the left; `completion_ids`, `completion_mask`
    (R, C): thought and `<emb_token>`, padded on the right; `tool_mask` (R, C): 1 on the tokens of
    the policy loss, which are those that were sampled, in rows that `kept_R` names. A forced
    `<emb_token>` was not sampled.
    """
    prompt = pad(rolled.prompts, left=True, device=device)
    rows = [[*thought.token_ids, emb_id] for thought in rolled.thoughts]
    completion = pad(rows, left=False, device=device)
    sampled_R = [
        len(thought.token_ids) + (thought.finish_reason == "emb_token") if kept else 0
        for thought, kept in zip(rolled.thoughts, kept_R, strict=True)
    ]
    columns_C = torch.arange(completion.ids_BT.shape[1], device=device)
    policy_RC = columns_C < torch.tensor(sampled_R, device=device)[:, None]
    return {
        "prompt_ids": prompt.ids_BT,
        "prompt_mask": prompt.mask_BT,
        "completion_ids": completion.ids_BT,
        "completion_mask": completion.mask_BT,
        "tool_mask": policy_RC.long(),
    }


def sequences(tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, int]:
    """Of `policy_tensors`: ids and mask (R, P + C) of prompt and completion, and C."""
    ids_RT = torch.cat([tensors["prompt_ids"], tensors["completion_ids"]], 1)
    mask_RT = torch.cat([tensors["prompt_mask"], tensors["completion_mask"]], 1)
    return ids_RT, mask_RT, tensors["completion_ids"].shape[1]


def bare_rows(tensors: Mapping[str, Tensor], emb_id: int) -> list[tuple[int, ...]]:
    """Of `policy_tensors`: token ids of each prompt, followed by `<emb_token>`."""
    ids_RP, mask_RP = tensors["prompt_ids"].tolist(), tensors["prompt_mask"].tolist()
    return [
        (*(token for token, real in zip(ids, mask, strict=True) if real), emb_id)
        for ids, mask in zip(ids_RP, mask_RP, strict=True)
    ]
