"""Stage 1, represent: `<emb_token>` learns to aggregate meaning, without generating.

Loss: weight_contrastive x InfoNCE (several positives, in-batch and hard negatives, false
negatives masked) + weight_triplet x triplet margin + weight_distill x (1 - cosine to a teacher's
vector) + weight_distill_similarity x KL of in-batch similarities. The curriculum is that of the
model cards quoted in docs/design.md; the distillation and all values are our own choice.

It knows batches of tensors, no files and no recipes: `training.run` builds what it needs.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer

from thought1 import losses
from thought1.config import StageConfig

Inputs = dict[str, Tensor]


class Embedder(nn.Module):
    """The backbone with the vector of `<emb_token>` as its output; the language head stays out.

    One module with one forward, so that wrappers of several processes see every pass.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = model.base_model

    def forward(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Float32 vectors (B, D) at the last real token of right-padded rows, not normalised."""
        positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
        outputs = self.backbone(
            input_ids=ids_BT,
            attention_mask=None if bool(mask_BT.all()) else mask_BT,
            position_ids=positions_BT,
            use_cache=False,
        )
        rows_B = torch.arange(len(ids_BT), device=ids_BT.device)
        vectors_BD: Tensor = outputs.last_hidden_state[rows_B, mask_BT.sum(1) - 1].float()
        return vectors_BD


class RepresentTrainer(Trainer):
    """`transformers.Trainer` with the loss of stage 1.

    With `grad_cache_chunk` the batch is encoded in chunks (GradCache): more in-batch negatives
    than fit in memory, at the price of a second forward pass.
    """

    def __init__(self, *, stage: StageConfig, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.stage = stage
        self.model_accepts_loss_kwargs = False

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Inputs,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor | tuple[Tensor, Any]:
        """The loss of one batch; the trainer divides it by the batches of a step."""
        queries_QD = self._encode(model, inputs, "query")
        documents_ND = self._encode(model, inputs, "document")
        loss = stage_loss(self.stage, queries_QD, documents_ND, inputs)
        return (loss, {}) if return_outputs else loss

    def training_step(
        self,
        model: nn.Module,
        inputs: Inputs,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Forward and backward pass of one batch; pairs by chunks where the stage says so."""
        chunk = self.stage.grad_cache_chunk
        if not chunk or "positives" not in inputs:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        inputs = self._prepare_inputs(inputs)
        chunks = {role: _chunks(inputs, role, chunk) for role in ("query", "document")}

        def loss_fn(queries_QD: Tensor, documents_ND: Tensor) -> Tensor:
            loss = stage_loss(self.stage, queries_QD, documents_ND, inputs)
            return loss / self.current_gradient_accumulation_steps

        def encode(pair: tuple[Tensor, Tensor]) -> Tensor:
            with self.compute_loss_context_manager():
                vectors_BD: Tensor = model(*pair)
            return vectors_BD

        return losses.grad_cache(
            encode,
            chunks["query"],
            chunks["document"],
            loss_fn,
            no_sync=partial(self.accelerator.no_sync, model),
        )

    def _encode(self, model: nn.Module, inputs: Inputs, role: str) -> Tensor:
        if f"{role}_ids" not in inputs:
            return torch.zeros(0, 1, device=self.args.device)
        vectors_BD: Tensor = model(inputs[f"{role}_ids"], inputs[f"{role}_mask"])
        return vectors_BD


def _chunks(inputs: Inputs, role: str, size: int) -> list[tuple[Tensor, Tensor]]:
    ids, masks = inputs[f"{role}_ids"].split(size), inputs[f"{role}_mask"].split(size)
    return list(zip(ids, masks, strict=True))


def stage_loss(
    stage: StageConfig, queries_QD: Tensor, documents_ND: Tensor, inputs: Inputs
) -> Tensor:
    """The weighted sum of the stage's terms, a scalar.

    Args:
        queries_QD: may have no row, in a batch of single documents; likewise documents_ND.
        inputs: `positives` and `answers` (Q, N) booleans of a batch of pairs;
            `query_teacher` (Q, E) and `document_teacher` (N, E) where there is a teacher.
    """
    terms = []
    if "positives" in inputs and stage.weight_contrastive > 0:
        terms.append(
            stage.weight_contrastive * _contrastive(stage, queries_QD, documents_ND, inputs)
        )
    if "positives" in inputs and stage.weight_triplet > 0:
        terms.append(stage.weight_triplet * _triplets(stage, queries_QD, documents_ND, inputs))
    for role, vectors_BD in (("query", queries_QD), ("document", documents_ND)):
        teacher_BE = inputs.get(f"{role}_teacher")
        if teacher_BE is None or not len(vectors_BD):
            continue
        if stage.weight_distill > 0:
            terms.append(stage.weight_distill * losses.distillation(vectors_BD, teacher_BE))
        if stage.weight_distill_similarity > 0 and len(vectors_BD) > 1:
            # One half of the batch against the other: no row meets itself, whose similarity of 1
            # would take the whole distribution.
            half = len(vectors_BD) // 2
            terms.append(
                stage.weight_distill_similarity
                * losses.similarity_distillation(
                    vectors_BD[:half],
                    vectors_BD[half:],
                    teacher_BE[:half],
                    teacher_BE[half:],
                    stage.distill_temperature,
                )
            )
    if not terms:  # a single text under a term that compares texts
        return 0 * (queries_QD.sum() + documents_ND.sum())
    return torch.stack(terms).sum()


def _ignored(stage: StageConfig, inputs: Inputs) -> Tensor:
    """Candidates that are no negatives: known answers, and whatever the teacher rates too high."""
    answers_QN = inputs["answers"]
    if stage.false_negative_margin <= 0:
        return answers_QN
    scores_QN = losses.cosine(inputs["query_teacher"], inputs["document_teacher"])
    by_score_QN = losses.false_negative_mask(
        inputs["positives"], scores_QN=scores_QN, margin=stage.false_negative_margin
    )
    return answers_QN | by_score_QN


def _contrastive(
    stage: StageConfig, queries_QD: Tensor, documents_ND: Tensor, inputs: Inputs
) -> Tensor:
    return losses.info_nce(
        queries_QD,
        documents_ND,
        inputs["positives"],
        temperature=stage.temperature,
        ignore_QN=_ignored(stage, inputs),
    )


def _triplets(
    stage: StageConfig, queries_QD: Tensor, documents_ND: Tensor, inputs: Inputs
) -> Tensor:
    """Each query with its first positive and its hardest negative of the batch, if it has one."""
    positives_QN = inputs["positives"]
    with torch.no_grad():
        scores_QN = losses.cosine(queries_QD, documents_ND)
        blocked_QN = positives_QN | _ignored(stage, inputs)
        hardest_Q = scores_QN.masked_fill(blocked_QN, -torch.inf).argmax(1)
    first_Q = positives_QN.int().argmax(1)
    some_Q = ~blocked_QN.all(1)
    return losses.triplet_margin(
        queries_QD[some_Q],
        documents_ND[first_Q[some_Q]],
        documents_ND[hardest_Q[some_Q]][:, None],
        stage.triplet_margin,
    )
