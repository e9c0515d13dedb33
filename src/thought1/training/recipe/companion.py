"""What a recipe may say about the stage that trains a companion, `stage = "companion"`."""

from typing import Literal

from pydantic import model_validator

from thought1.training.recipe.stage import SupervisedStage
from thought1.training.recipe.table import Count, Share, Weight, table


@table
class CompanionStage(SupervisedStage):
    """The companion learns to read thoughts; the language model stays as it is.

    `lora_rank` is that of the companion's updates; 0 trains all its weights.
    """

    stage: Literal["companion"] = "companion"
    own_folds: Count = 2
    """Thoughts come from this many language models, each trained by the stages before this one
    without the questions of the fold that it writes for."""
    own_samples: Count = 1
    """Thoughts about each question; one for each epoch, in turn."""
    own_temperature: Weight = 0.0
    own_top_p: Share = 1.0
    share_kept: Share = 1.0
    """Of the change so much is kept: weights = before + share_kept x change, where with updates
    `before` is the public model. Between the two lie models that do well both on questions like
    those trained on and elsewhere (WiSE-FT, arXiv 2109.01903)."""
    share_none: Share = 0.0
    """Of so many queries the vector is read without a thought."""

    @property
    def learns_anchor(self) -> bool:
        """Its weight stays as it is."""
        return False

    @model_validator(mode="after")
    def _check(self) -> "CompanionStage":
        if not self.needs_pairs:
            raise ValueError("stage companion needs weight_contrastive or weight_triplet above 0")
        if self.own_folds == 1:
            raise ValueError(
                "own_folds is 1, which leaves no other fold to teach from: set it to 2 or more"
            )
        if self.own_samples > 1 and not self.own_temperature:
            raise ValueError(
                "own_samples above 1 needs own_temperature above 0: greedy thoughts are all alike"
            )
        if not self.share_kept:
            raise ValueError("share_kept is 0, which keeps nothing of what is learnt")
        if any(source.evidence for source in self.sources):
            raise ValueError("evidence has no effect in stage companion: remove it")
        if any(source.kind in ("texts", "rationales") for source in self.sources):
            raise ValueError("stage companion reads pairs alone: kinds beir and columns")
        self.check_terms()
        return self
