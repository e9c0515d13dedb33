"""What the trainer of a companion is given: queries with thoughts of cross-fitted models.

Loss: weight_contrastive x InfoNCE (+ the other terms of a supervised stage) over the documents'
vectors and the queries' as they are searched with: normalise(anchor x bare + read), where the
companion reads both texts. Each question's thought comes from a model that was trained without it
(`cross_fit`). Our own addition to the paper.
"""

import random
from collections.abc import Callable
from dataclasses import replace

import torch
from accelerate import PartialState
from torch import Tensor

from thought1.model.reader import joined
from thought1.model.sentence_model import SentenceModel
from thought1.t1 import T1
from thought1.training.data.batches import (
    Batch,
    BatchPlan,
    Ids,
    Mode,
    Rows,
    Text,
    known_answers,
    plan_stage,
)
from thought1.training.data.collate import Collator, named, packed
from thought1.training.data.sources import TrainingData
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.prepare import Parts, negatives_of
from thought1.training.recipe import CompanionStage
from thought1.training.teacher import TeacherVectors


def companion_parts(
    stage: CompanionStage,
    model: T1,
    data: TrainingData,
    teacher: TeacherVectors,
    sampled: SampledThoughts,
    seed: int,
) -> Parts:
    """The plan of batches and their collator; the thoughts are written already."""
    companion = model.companion
    assert companion is not None
    texts = [*(text for pair in data.pairs for text in pair.positives), *data.pool]
    documents = list(dict.fromkeys(texts))
    tokens = companion.document_ids(documents)
    ids: dict[Text, Ids] = {
        ("document", text): row for text, row in zip(documents, tokens, strict=True)
    }
    rows = Rows(ids, teacher, known_answers(data.pairs))
    negatives = negatives_of(stage, data, rows)
    plan = plan_stage(data, rows, stage, seed, negatives, PartialState().num_processes)
    decode = model.queries.decode
    return Parts(
        _with_modes(plan, stage, len(data.pairs), seed), _Queries(rows, companion, sampled, decode)
    )


def _with_modes(plan: BatchPlan, stage: CompanionStage, pairs: int, seed: int) -> BatchPlan:
    """The same batches, with which queries think, and which of their thoughts."""
    rng = random.Random(f"{seed} companion")
    per_epoch = max(1, pairs // min(stage.queries_per_batch, pairs))
    planned = []
    for number, batch in enumerate(plan.batches):
        modes: list[Mode] = [
            "none" if rng.random() < stage.share_none else "own" for _ in batch.query_ids
        ]
        sample = number // per_epoch % stage.samples_per_query
        planned.append(replace(batch, modes=tuple(modes), round=sample))
    return BatchPlan(planned)


class _Queries(Collator):
    """A collator whose query side holds bare queries, and queries with their thoughts."""

    def __init__(
        self,
        rows: Rows,
        companion: SentenceModel,
        sampled: SampledThoughts,
        decode: Callable[[Ids], str],
    ) -> None:
        super().__init__(rows)
        self.companion = companion
        self.sampled = sampled
        self.decode = decode

    def queries(self, batch: Batch) -> dict[str, Tensor]:
        """One row for each query; see `CompanionEmbedder.forward`. `bare`, True if it does not
        think."""
        sampled = self.sampled.read(batch.round)
        written = [
            self.decode(sampled[q]).strip() if mode == "own" else ""
            for q, mode in zip(batch.query_ids, batch.modes, strict=True)
        ]
        bare = self.companion.query_ids(batch.queries)
        pairs = zip(batch.queries, written, strict=True)
        read = self.companion.query_ids([joined(query, text) for query, text in pairs])
        groups = [[b, r] if text else [b] for b, r, text in zip(bare, read, written, strict=True)]
        tensors = named("query", packed(groups))
        tensors["bare"] = torch.tensor([not text for text in written])
        return tensors | self._teacher("query", batch.queries)
