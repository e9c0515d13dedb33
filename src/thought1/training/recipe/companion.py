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
    sampled_folds: Count = 2
    """Number of language models that write the thoughts; each is trained by the preceding stages
    without the questions of the fold that it writes for."""
    samples_per_query: Count = 1
    """Thoughts sampled per question; each epoch uses the next one."""
    sampled_temperature: Weight = 0.0
    sampled_top_p: Share = 1.0
    share_kept: Share = 1.0
    """How much of the change is kept: weights = before + share_kept x change, where with low-rank
    updates `before` is the public model. Weights interpolated between the two do well both on
    questions like those trained on and on others (WiSE-FT, arXiv 2109.01903)."""
    share_none: Share = 0.0
    """Share of the queries whose vector is read without a thought."""

    @property
    def learns_anchor(self) -> bool:
        """Never: the weight of the anchor is fixed."""
        return False

    @model_validator(mode="after")
    def _check(self) -> "CompanionStage":
        if not self.needs_pairs:
            raise ValueError("stage companion needs weight_contrastive or weight_triplet above 0")
        if self.sampled_folds == 1:
            raise ValueError(
                "sampled_folds is 1, which leaves no other fold to train on: set it to 2 or more"
            )
        if self.samples_per_query > 1 and not self.sampled_temperature:
            raise ValueError(
                "samples_per_query above 1 needs sampled_temperature above 0: greedy thoughts are "
                "all the same"
            )
        if not self.share_kept:
            raise ValueError("share_kept is 0, which discards everything that is learnt")
        if any(source.evidence for source in self.sources):
            raise ValueError("evidence has no effect in stage companion: remove it")
        if any(source.kind in ("texts", "rationales") for source in self.sources):
            raise ValueError("stage companion reads pairs only: kinds beir and columns")
        self.check_terms()
        return self
