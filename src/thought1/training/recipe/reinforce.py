"""What a recipe may say about stage 3, `stage = "reinforce"`."""

from dataclasses import field
from typing import Literal

from pydantic import model_validator

from thought1.training.recipe.stage import BaseStage
from thought1.training.recipe.table import Count, Natural, Positive, Share, Text, Weight, table


@table
class RewardConfig:
    """One part of the reward."""

    name: Text
    """A name in `registry.REWARDS`, or `module:function`."""
    weight: Weight = 1.0


@table
class ReinforceConfig:
    """GRPO (arXiv 2402.03300) on the model's own thoughts."""

    rewards: tuple[RewardConfig, ...]
    group_size: Count = 8
    """Thoughts sampled for each question (LREM, UME-R1 and GRACE: 8)."""
    sampling_temperature: Positive = 1.0
    iterations: Count = 1
    """Optimizer steps on the same rollouts."""
    loss: Literal["grpo", "dapo", "dr_grpo"] = "dapo"
    """How the tokens of a batch are averaged: by thought, by token, or by the budget."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """The standard deviation that advantages are divided by."""
    clip_low: Share = 0.2
    clip_high: Weight = 0.2
    """The ratio to the policy that sampled is clipped at 1 - clip_low and 1 + clip_high."""
    weight_policy: Weight = 1.0
    weight_kl: Weight = 0.0
    """Divergence from the model as the stage begins, of which a copy is kept."""
    length_target: Natural = 16
    """Up to this many tokens the reward `length` is 1."""
    pool: Literal["batch", "index"] = "batch"
    """What a thought is ranked against: the positives and hard negatives of its batch, encoded with
    the current weights; or all documents, whose vectors are recomputed now and then."""
    index_steps: Natural = 50
    """Optimizer steps after which the index is recomputed; 0 leaves that to index_cosine."""
    index_cosine: Share = 0.0
    """It is recomputed as well when the mean cosine of 64 of its vectors to current ones falls
    below this."""
    rollout_steps: Natural = 0
    """Save the rollouts of every so manieth step, for `t1 rewards`; 0 saves none."""
    probes: Natural = 8
    """Validation questions whose thoughts are saved at every evaluation."""


@table
class ReinforceStage(BaseStage):
    """Stage 3: which thoughts retrieve well."""

    stage: Literal["reinforce"] = "reinforce"
    reinforce: ReinforceConfig = field(kw_only=True)
    """The table [stages.reinforce]."""

    @model_validator(mode="after")
    def _check(self) -> "ReinforceStage":
        config = self.reinforce
        if not config.rewards:
            raise ValueError("stage reinforce needs a table [stages.reinforce] with `rewards`")
        if config.group_size < 2:
            raise ValueError(
                "group_size is 1: a thought is compared with others, set it to 2 or more"
            )
        if self.queries_per_batch * config.group_size % self.accumulation:
            raise ValueError(
                "queries_per_batch x group_size cannot be divided into `accumulation` equal parts"
            )
        if not config.weight_policy and not self.weight_contrastive:
            raise ValueError("weight_policy and weight_contrastive are 0: set one of them above 0")
        return self
