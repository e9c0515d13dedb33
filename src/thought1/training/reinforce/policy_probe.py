"""A fixed set of questions, used at every evaluation: what the model thinks about them now, and
how far its distribution has moved since the stage began.

It knows a model, questions and two files in a stage's folder; no trainer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thought1.files.whole import write_whole
from thought1.model.queries import PromptedQueries
from thought1.t1 import T1
from thought1.training.data.batches import Ids
from thought1.training.data.tokens import render
from thought1.training.model.logprobs import completion_logprobs
from thought1.training.reinforce.rollouts import (
    RolloutBatch,
    policy_tensors,
    sample_groups,
    sequences,
)
from thought1.types import Generation, Sampling


@dataclass(frozen=True, slots=True)
class Probe:
    """Questions by id."""

    questions: Mapping[str, str]
    budget: int
    sampling: Sampling
    """For the initial thoughts, from which the divergence is computed."""
    folder: Path

    def look(self, model: T1, step: int) -> float:
        """Append greedy thoughts to `probe-thoughts.jsonl`; returns KL(beginning || now).

        In nats a thought, estimated from one thought a question that the model sampled as the stage
        began: mean of its log-probability then minus now. 0 at the first look, which samples them.
        """
        texts = list(self.questions.values())
        thoughts = model.think(texts, budget=self.budget)
        with (self.folder / "probe-thoughts.jsonl").open("a", encoding="utf-8") as file:
            for (query_id, text), thought in zip(self.questions.items(), thoughts, strict=True):
                record = {"question": text, "thought": thought.text, "ended": thought.finish_reason}
                file.write(json.dumps({"step": step, "_id": query_id, **record}) + "\n")
        _, rows = render(model, "query", texts)
        prompts = [row[:-1] for row in rows]
        path = self.folder / "probe-start.json"
        if step == 0 or not path.is_file():  # a stage that was killed at its start begins again
            rolled = sample_groups(
                model, PromptedQueries(texts, (), prompts), 1, self.budget, self.sampling
            )
            known = [_known(thought) for thought in rolled.thoughts]
            with write_whole(path) as stream:
                stream.write(json.dumps(known).encode())
            return 0.0
        nothing = np.zeros(0, np.float32)
        then = [
            Generation(**known, vector=nothing) for known in json.loads(path.read_text("utf-8"))
        ]
        return self._moved(model, prompts, then)

    @torch.no_grad()
    def _moved(self, model: T1, prompts: Sequence[Ids], then: Sequence[Generation]) -> float:
        network = model.checkpoint.model
        tensors = policy_tensors(
            RolloutBatch(prompts, then), [True] * len(then), model.checkpoint.emb_id, network.device
        )
        now_BC, _, _ = completion_logprobs(
            network, network.base_model, *sequences(tensors), self.sampling
        )
        now = float((now_BC * tensors["tool_mask"]).sum())
        return (sum(sum(thought.logprobs) for thought in then) - now) / len(then)


def _known(thought: Generation) -> dict[str, Any]:
    return {
        "token_ids": thought.token_ids,
        "finish_reason": thought.finish_reason,
        "logprobs": thought.logprobs,
    }
