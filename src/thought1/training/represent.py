"""Stage 1, represent: `<emb_token>` learns to aggregate meaning, and the model its language.

Loss: weight_contrastive x InfoNCE (several positives, in-batch and hard negatives, false
negatives masked) + weight_triplet x triplet margin + weight_distill x (1 - cosine to a teacher's
vector) + weight_distill_similarity x KL of in-batch similarities + weight_lm x next-token loss over
single texts, packed. The curriculum is that of the model cards quoted in docs/design.md; the
distillation, the language loss and all values are our own choice.
"""

from thought1.training.data.collate import Collator
from thought1.training.prepare import Parts, TokenizedData
from thought1.training.recipe import RepresentStage


def represent_parts(stage: RepresentStage, read: TokenizedData) -> Parts:
    """What the trainer of stage 1 is given."""
    return Parts(read.plan, Collator(read.rows, language=stage.weight_language > 0))
