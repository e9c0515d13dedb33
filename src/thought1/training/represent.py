"""Stage 1, represent: `<emb_token>` learns to aggregate meaning, and the model its language.

Loss: weight_contrastive x InfoNCE (several positives, in-batch and hard negatives, false
negatives masked) + weight_triplet x triplet margin + weight_distill x (1 - cosine to a teacher's
vector) + weight_distill_similarity x KL of in-batch similarities + weight_lm x next-token loss over
single texts, packed. The curriculum is that of the model cards quoted in docs/design.md; the
distillation, the language loss and all values are our own choice.

It knows batches of tensors, no files and no recipes: `training.run` builds what it needs.
"""

from torch import Tensor

from thought1 import losses
from thought1.config import StageConfig
from thought1.training.stage_trainer import Inputs, StageTrainer, Terms
from thought1.training.terms import contrastive_terms


class RepresentTrainer(StageTrainer):
    """Trains stage 1."""

    def terms(self, queries_QD: Tensor, documents_ND: Tensor, inputs: Inputs) -> Terms:
        """See `stage_terms`."""
        return stage_terms(self.stage, queries_QD, documents_ND, inputs)


def stage_terms(
    stage: StageConfig, queries_QD: Tensor, documents_ND: Tensor, inputs: Inputs
) -> Terms:
    """The stage's weighted terms, scalars by name.

    Args:
        queries_QD: may have no row, in a batch of single documents; likewise documents_ND.
        inputs: `positives` and `answers` (Q, N) booleans of a batch of pairs;
            `query_teacher` (Q, E) and `document_teacher` (N, E) where there is a teacher.
    """
    terms: Terms = {}
    if "positives" in inputs:
        terms |= contrastive_terms(stage, queries_QD, documents_ND, inputs)
    for role, vectors_BD in (("query", queries_QD), ("document", documents_ND)):
        teacher_BE = inputs.get(f"{role}_teacher")
        if teacher_BE is not None and len(vectors_BD):
            found = _distillation(stage, vectors_BD, teacher_BE)
            terms |= {f"{name}_{role}": term for name, term in found.items()}
    return terms


def _distillation(stage: StageConfig, vectors_BD: Tensor, teacher_BE: Tensor) -> Terms:
    terms: Terms = {}
    if stage.weight_distill > 0:
        terms["distill"] = stage.weight_distill * losses.distillation(vectors_BD, teacher_BE)
    if stage.weight_distill_similarity > 0 and len(vectors_BD) > 1:
        # One half of the batch against the other: no row meets itself, whose similarity of 1
        # would take the whole distribution.
        half = len(vectors_BD) // 2
        terms["similarity"] = stage.weight_distill_similarity * losses.similarity_distillation(
            vectors_BD[:half],
            vectors_BD[half:],
            teacher_BE[:half],
            teacher_BE[half:],
            stage.distill_temperature,
        )
    return terms
