"""What the losses of the stages share: the contrastive terms of a batch, and their record.

It knows batches of tensors and a stage's weights, no model and no files.
"""

import torch
from torch import Tensor

from thought1 import losses
from thought1.config import StageConfig
from thought1.training.stage_trainer import Inputs, Terms


def contrastive_terms(
    stage: StageConfig, queries_QD: Tensor, documents_ND: Tensor, inputs: Inputs
) -> Terms:
    """The stage's weighted contrastive terms of a batch of pairs, by name.

    Args:
        inputs: `positives` and `answers` (Q, N) booleans; `query_teacher` and `document_teacher`
            where false negatives are told by a teacher.
    """
    terms: Terms = {}
    if stage.weight_contrastive > 0:
        loss = losses.info_nce(
            queries_QD,
            documents_ND,
            inputs["positives"],
            temperature=stage.temperature,
            ignore_QN=_ignored(stage, inputs),
        )
        terms["contrastive"] = stage.weight_contrastive * loss
    if stage.weight_triplet > 0:
        loss = _triplets(stage, queries_QD, documents_ND, inputs)
        terms["triplet"] = stage.weight_triplet * loss
    return terms


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
