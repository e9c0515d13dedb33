"""What a recipe may say about stage 2, `stage = "reason"`."""

from typing import Literal

from pydantic import model_validator

from thought1.training.recipe.stage import SupervisedStage
from thought1.training.recipe.table import Flag, Natural, Positive, Share, Weight, table

ROUNDING = 1e-9
"""Shares that add up to 1 may miss it by so much."""


@table
class ReasonStage(SupervisedStage):
    """Stage 2: thoughts, and the vector behind them."""

    stage: Literal["reason"] = "reason"
    weight_sft: Weight = 1.0
    """Next-token loss over reference thoughts, the `<emb_token>` behind them, rationales and single
    texts."""
    share_none: Share = 0.25
    """Thought dropout: of so many queries the vector is read without a thought."""
    share_own_start: Share = 0.0
    share_own_end: Share = 0.0
    """Of so many queries it is read behind a thought sampled by the model itself; the share goes
    linearly from the first value to the second. The rest takes the reference thought."""
    own_every: Natural = 0
    """Optimizer steps after which own thoughts are sampled again; needed with own thoughts, unless
    there are folds: then 0 samples them once."""
    own_temperature: Weight = 1.0
    own_top_p: Share = 1.0
    own_folds: Natural = 0
    """Own thoughts come from this many models, each taught the thoughts of all folds but the one
    it writes for: what it has memorised would not look like thoughts at test time. 0 takes the
    model in training itself."""
    fold_epochs: Positive = 3.0
    """How long such a model is taught."""
    filter_gain: Flag = False
    """Drop reference thoughts behind which a query retrieves no better than without, as the stage
    begins (LREM)."""

    @property
    def weight_language(self) -> float:
        """The weight of the stage's next-token loss."""
        return self.weight_sft

    @property
    def resamples(self) -> bool:
        """Whether own thoughts are ever sampled."""
        return bool(self.own_every or self.own_folds)

    @model_validator(mode="after")
    def _check(self) -> "ReasonStage":
        if not self.needs_pairs:
            raise ValueError(
                "stage reason needs weight_contrastive or weight_triplet above 0; the next-token "
                "loss alone is for stage represent, from rationales"
            )
        own = max(self.share_own_start, self.share_own_end)
        if self.share_none + own > 1 + ROUNDING:
            raise ValueError(
                "share_none and share_own_start or share_own_end add up to more than 1"
            )
        if own and not self.resamples:
            raise ValueError(
                "own thoughts (share_own_start, share_own_end) need own_every or own_folds above 0"
            )
        if self.resamples and not own:
            raise ValueError(
                "own_every and own_folds have no effect: set share_own_start or share_own_end "
                "above 0"
            )
        if self.own_folds == 1:
            raise ValueError(
                "own_folds is 1, which leaves no other fold to teach from: set it to 2 or more"
            )
        self.check_terms()
        return self
