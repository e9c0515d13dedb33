"""Stage 2, reason: the model writes a trajectory and embeds behind it, in one forward pass.

Loss: weight_sft x next-token loss over reference thoughts + weight_contrastive x InfoNCE +
weight_triplet x triplet margin + weight_distill x (1 - cosine to a teacher's vector) where nothing
is thought; the preview model's card states 1, 1 and 2 (docs/design.md). Each
query's vector is read behind its reference thought, behind a thought sampled by the model, or
behind none (thought dropout), by shares that change in the course of the stage. The SFT term always
sees the reference. Own thoughts and the shares are our own decision: a reference thought that holds
the answer's words teaches the vector to copy it and to trust any thought blindly.

It knows batches and token ids, no files: `training.run` builds what it needs.
"""

import random
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thought1 import losses
from thought1.config import StageConfig
from thought1.losses import IGNORE_INDEX
from thought1.training.batches import Batch, Ids, Mode, Plan, Rows
from thought1.training.collate import PACKED_TOKENS, Collator, fit, named, packed
from thought1.training.own_thoughts import OwnThoughts
from thought1.training.stage_trainer import Inputs, StageTrainer, Terms
from thought1.training.terms import contrastive_terms
from thought1.training.tokens import Trajectory


class ReasonTrainer(StageTrainer):
    """Trains stage 2."""

    def terms(self, queries_QD: Tensor, documents_ND: Tensor, inputs: Inputs) -> Terms:
        """The contrastive terms, and the distillation of documents and of queries that think not.

        Rows behind those of the batch's queries serve SFT alone.
        """
        terms: Terms = {}
        weight = self.stage.weight_distill
        if "document_teacher" in inputs and weight > 0:
            loss = losses.distillation(documents_ND, inputs["document_teacher"])
            terms["distill_document"] = weight * loss
        if "positives" not in inputs:
            return terms
        queries_QD = queries_QD[inputs["query_places"]]
        if "query_teacher" in inputs and weight > 0:
            bare_Q = inputs["bare"]
            loss = losses.distillation(queries_QD[bare_Q], inputs["query_teacher"][bare_Q])
            terms["distill_query"] = weight * loss
        return terms | contrastive_terms(self.stage, queries_QD, documents_ND, inputs)


def plan_thoughts(
    plan: Plan, stage: StageConfig, known: Set[str], seed: int, batches_per_step: int
) -> Plan:
    """The same batches, with the thought behind which each query's vector is read.

    Args:
        known: ids of the queries with a reference thought; the others never get a mode
            "reference": without one there is "none".
        batches_per_step: of one optimizer step, over all processes.
    """
    rng = random.Random(f"{seed} thoughts")
    steps = -(-len(plan) // batches_per_step)  # the last one may have fewer batches
    planned = []
    for number, batch in enumerate(plan.batches):
        step = number // batches_per_step
        share_own = stage.share_own_start + (stage.share_own_end - stage.share_own_start) * (
            step / max(1, steps - 1)
        )
        modes = tuple(_mode(rng, stage, share_own, q in known) for q in batch.query_ids)
        # The loader prepares one batch ahead: what is sampled after a step is read one step later.
        sampling = max(step - 1, 0) // stage.own_every if stage.own_every else 0
        planned.append(replace(batch, modes=modes, round=sampling))
    return Plan(planned)


def _mode(rng: random.Random, stage: StageConfig, share_own: float, known: bool) -> Mode:
    drawn = rng.random()
    if drawn < stage.share_none:
        return "none"
    if drawn < stage.share_none + share_own:
        return "own"
    return "reference" if known else "none"


def rounds_read(plan: Plan) -> set[int]:
    """The samplings of own thoughts that a plan reads."""
    return {batch.round for batch in plan.batches if "own" in batch.modes}


@dataclass(frozen=True, slots=True)
class ThoughtRows:
    """Token ids of texts, and what may stand behind each query."""

    rows: Rows
    prompts: Mapping[str, Ids]
    """Query id -> prompt, without `<emb_token>`."""
    references: Mapping[str, Trajectory]
    """Query id -> reference thought."""
    emb_id: int


class ReasonCollator(Collator):
    """Makes tensors of batches of stage 2.

    The query side has one row for each query, whose vector counts, and behind them a row with the
    reference thought of each query whose own row holds none, for the SFT term alone.
    """

    def __init__(self, thoughts: ThoughtRows, own: OwnThoughts, *, language: bool) -> None:
        super().__init__(thoughts.rows, language=language)
        self.thoughts = thoughts
        self.own = own

    def queries(self, batch: Batch) -> dict[str, Tensor]:
        """`query_ids`, `query_segments` (packed: their lengths differ much), with a language loss
        `query_labels`, with a teacher `query_teacher` (Q, E); and (Q,) `query_places`, the queries'
        places among the vectors, and `bare`, True where a vector is read without a thought.
        """
        own = self.own.read(batch.round) if "own" in batch.modes else {}
        rows, labels, behind = [], [], []
        for query_id, mode in zip(batch.query_ids, batch.modes, strict=True):
            thought = self._thought(query_id, mode, own)
            row = [*self.thoughts.prompts[query_id], *thought, self.thoughts.emb_id]
            rows.append(row)
            labels.append(self._sft(query_id) if mode == "reference" else _blank(len(row)))
            if self.language and mode != "reference" and query_id in self.thoughts.references:
                behind.append(query_id)
        rows += [
            [*self.thoughts.prompts[q], *self.thoughts.references[q].ids, self.thoughts.emb_id]
            for q in behind
        ]
        labels += [self._sft(query_id) for query_id in behind]
        groups = fit([len(row) for row in rows], PACKED_TOKENS)
        targets = [[labels[i] for i in group] for group in groups] if self.language else ()
        tensors = named("query", packed([[rows[i] for i in group] for group in groups], targets))
        places = {row: place for place, row in enumerate(i for group in groups for i in group)}
        tensors["query_places"] = torch.tensor([places[q] for q in range(len(batch.query_ids))])
        tensors["bare"] = torch.tensor([mode == "none" for mode in batch.modes])
        return tensors | self._teacher("query", batch.queries)

    def _thought(self, query_id: str, mode: Mode, own: Mapping[str, Ids]) -> Ids:
        if mode == "reference":
            return self.thoughts.references[query_id].ids
        return own[query_id] if mode == "own" else ()

    def _sft(self, query_id: str) -> list[int]:
        """Labels of a row that ends in the reference thought; a cut one does not teach to end."""
        thought = self.thoughts.references[query_id]
        end = IGNORE_INDEX if thought.cut else self.thoughts.emb_id
        return [*_blank(len(self.thoughts.prompts[query_id])), *thought.ids, end]


def _blank(length: int) -> list[int]:
    return [IGNORE_INDEX] * length
