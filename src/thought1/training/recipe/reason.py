"""What a recipe may say about stage 2, `stage = "reason"`."""

from typing import Literal

from pydantic import model_validator

from thought1.training.recipe.stage import SupervisedStage
from thought1.training.recipe.table import Flag, Natural, Positive, Share, Weight, table

ROUNDING = 1e-9
"""How far shares that should add up to 1 may be from it."""


@table
class ReasonStage(SupervisedStage):
    """Stage 2: thoughts, and the vector after them."""

    stage: Literal["reason"] = "reason"
    weight_sft: Weight = 1.0
    """Next-token loss over reference thoughts, the `<emb_token>` after them, rationales and single
    texts."""
    share_none: Share = 0.25
    """Thought dropout: share of the queries whose vector is read without a thought."""
    share_sampled_start: Share = 0.0
    share_sampled_end: Share = 0.0
    """Share of the queries whose vector is read after a thought sampled from the model itself; it
    changes linearly from the first value to the second. The rest use the reference thought."""
    sampled_every: Natural = 0
    """Optimizer steps between two samplings of thoughts. Required with sampled thoughts, except
    with folds, where 0 samples them once."""
    sampled_temperature: Weight = 1.0
    sampled_top_p: Share = 1.0
    sampled_folds: Natural = 0
    """Number of models that write the sampled thoughts, each trained on the thoughts of all folds
    but the one it writes for: thoughts that a model has memorised are unlike those it writes at
    test time. 0 samples from the model in training itself."""
    fold_epochs: Positive = 3.0
    """Epochs of training for such a model."""
    filter_gain: Flag = False
    """When the stage begins, drop reference thoughts with which a query retrieves no better than
    without (LREM)."""

    @property
    def weight_language(self) -> float:
        """The weight of the stage's next-token loss."""
        return self.weight_sft

    @property
    def resamples(self) -> bool:
        """Whether thoughts are ever sampled from the model."""
        return bool(self.sampled_every or self.sampled_folds)

    @model_validator(mode="after")
    def _check(self) -> "ReasonStage":
        if not self.needs_pairs:
            raise ValueError(
                "stage reason needs weight_contrastive or weight_triplet above 0; the next-token "
                "loss alone is for stage represent, from rationales"
            )
        own = max(self.share_sampled_start, self.share_sampled_end)
        if self.share_none + own > 1 + ROUNDING:
            raise ValueError(
                "share_none and share_sampled_start or share_sampled_end add up to more than 1"
            )
        if own and not self.resamples:
            raise ValueError(
                "sampled thoughts (share_sampled_start, share_sampled_end) need sampled_every or "
                "sampled_folds above 0"
            )
        if self.resamples and not own:
            raise ValueError(
                "sampled_every and sampled_folds have no effect: set share_sampled_start or "
                "share_sampled_end above 0"
            )
        if self.sampled_folds == 1:
            raise ValueError(
                "sampled_folds is 1, which leaves no other fold to train on: set it to 2 or more"
            )
        self.check_terms()
        return self
