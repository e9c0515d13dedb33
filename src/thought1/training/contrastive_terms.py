"""The terms of a supervised stage's loss, by name.

A term is a function with a row of `registry.LOSSES` and a key of the stage's recipe, its weight.
(The next-token loss is not one: the model's own forward pass computes it.) This module knows
batches of tensors and a stage's values, no model and no files.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from thought1.registry import LOSSES, load
from thought1.training import losses
from thought1.training.model.anchor import Anchor
from thought1.training.recipe import RepresentStage, SupervisedStage

Inputs = dict[str, Tensor]
"""What a collator makes of a batch; see `data.collate` and `data.thoughts`."""
Terms = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Sides:
    """The vectors of a batch, not normalised; either side may have no row."""

    queries_QD: Tensor
    documents_ND: Tensor
    inputs: Inputs


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a loss."""

    weight: str
    """Key of the stage; 0 or no such key switches the term off."""
    value: Callable[[SupervisedStage, Sides], Tensor | None]
    """A scalar; None of a batch that holds nothing to compare."""


def stage_terms(
    stage: SupervisedStage,
    queries_QD: Tensor,
    documents_ND: Tensor,
    inputs: Inputs,
    anchor: Anchor | None = None,
) -> Terms:
    """The stage's weighted terms over the vectors of a batch, scalars by name.

    Args:
        inputs: of a batch of pairs `positives` and `answers` (Q, N), booleans; with a teacher
            `query_teacher` (Q, E) and `document_teacher` (N, E). In stage 2 `query_indices`, the
            indices of the queries among the vectors (the rows after them serve the next-token loss
            alone), and `bare` (Q,), True if a vector is read without a thought.
        anchor: fuses the queries' vectors with those before their thoughts.
    """
    if "query_indices" in inputs:
        if anchor is None:
            queries_QD = queries_QD[inputs["query_indices"]]
        else:
            queries_QD = anchor.queries(queries_QD, inputs)
    sides = Sides(queries_QD, documents_ND, inputs)
    terms: Terms = {}
    for name in LOSSES:
        term: Term = load("loss", name, LOSSES)
        weight = getattr(stage, term.weight, 0.0)
        value = term.value(stage, sides) if weight > 0 else None
        if value is not None:
            terms[name] = weight * value
    return terms


def _contrastive(stage: SupervisedStage, sides: Sides) -> Tensor | None:
    if "positives" not in sides.inputs:
        return None
    return losses.info_nce(
        sides.queries_QD,
        sides.documents_ND,
        sides.inputs["positives"],
        temperature=stage.temperature,
        ignore_QN=_ignored(stage, sides.inputs),
    )


def _triplet(stage: SupervisedStage, sides: Sides) -> Tensor | None:
    """Each query with its first positive and its hardest negative of the batch, if it has one."""
    if "positives" not in sides.inputs:
        return None
    positives_QN = sides.inputs["positives"]
    with torch.no_grad():
        scores_QN = losses.cosine(sides.queries_QD, sides.documents_ND)
        blocked_QN = positives_QN | _ignored(stage, sides.inputs)
        hardest_Q = scores_QN.masked_fill(blocked_QN, -torch.inf).argmax(1)
    first_Q = positives_QN.int().argmax(1)
    some_Q = ~blocked_QN.all(1)
    return losses.triplet_margin(
        sides.queries_QD[some_Q],
        sides.documents_ND[first_Q[some_Q]],
        sides.documents_ND[hardest_Q[some_Q]][:, None],
        stage.triplet_margin,
    )


def _ignored(stage: SupervisedStage, inputs: Inputs) -> Tensor:
    """Candidates that are not negatives: known answers, and whatever the teacher rates too high."""
    answers_QN = inputs["answers"]
    if stage.false_negative_margin <= 0:
        return answers_QN
    scores_QN = losses.cosine(inputs["query_teacher"], inputs["document_teacher"])
    by_score_QN = losses.false_negative_mask(
        inputs["positives"], scores_QN=scores_QN, margin=stage.false_negative_margin
    )
    return answers_QN | by_score_QN


def _taught(sides: Sides, role: str) -> tuple[Tensor, Tensor] | None:
    """Vectors and the teacher's, of texts that the teacher has read as the model has."""
    vectors_BD = sides.queries_QD if role == "query" else sides.documents_ND
    teacher_BE = sides.inputs.get(f"{role}_teacher")
    if teacher_BE is None or not len(vectors_BD):
        return None
    if role == "query" and "bare" in sides.inputs:  # the teacher does not think
        bare_Q = sides.inputs["bare"]
        return vectors_BD[bare_Q], teacher_BE[bare_Q]
    return vectors_BD, teacher_BE


def _distillation(role: str) -> Callable[[SupervisedStage, Sides], Tensor | None]:
    def value(_stage: SupervisedStage, sides: Sides) -> Tensor | None:
        found = _taught(sides, role)
        return losses.distillation(*found) if found else None

    return value


def _similarity(role: str) -> Callable[[SupervisedStage, Sides], Tensor | None]:
    def value(stage: SupervisedStage, sides: Sides) -> Tensor | None:
        found = _taught(sides, role)
        if found is None or len(found[0]) < 2:
            return None
        # One half of the batch against the other: no row meets itself, whose similarity of 1
        # would take the whole distribution.
        half = len(found[0]) // 2
        (first, second), (taught_first, taught_second) = (
            (side[:half], side[half:]) for side in found
        )
        assert isinstance(stage, RepresentStage)  # no other has this weight
        return losses.similarity_distillation(
            first, second, taught_first, taught_second, stage.distill_temperature
        )

    return value


CONTRASTIVE = Term("weight_contrastive", _contrastive)
TRIPLET = Term("weight_triplet", _triplet)
DISTILL_QUERY = Term("weight_distill", _distillation("query"))
SIMILARITY_QUERY = Term("weight_distill_similarity", _similarity("query"))
DISTILL_DOCUMENT = Term("weight_distill", _distillation("document"))
SIMILARITY_DOCUMENT = Term("weight_distill_similarity", _similarity("document"))
