"""What a recipe may say about stage 1, `stage = "represent"`."""

from typing import ClassVar, Literal

from pydantic import model_validator

from thought1.training.recipe.stage import SupervisedStage
from thought1.training.recipe.table import Positive, Weight, table


@table
class RepresentStage(SupervisedStage):
    """Stage 1: vectors without thoughts, and language, thoughts included."""

    thinks: ClassVar[bool] = False

    stage: Literal["represent"] = "represent"
    weight_distill_similarity: Weight = 0.0
    """KL between the in-batch similarity distributions of teacher and student."""
    distill_temperature: Positive = 0.05
    weight_lm: Weight = 0.0
    """Next-token loss over single texts and rationales."""

    @property
    def weight_language(self) -> float:
        """The weight of the stage's next-token loss."""
        return self.weight_lm

    @property
    def distils(self) -> bool:
        """Whether a term compares vectors with a teacher's."""
        return self.weight_distill > 0 or self.weight_distill_similarity > 0

    @model_validator(mode="after")
    def _check(self) -> "RepresentStage":
        if any(source.evidence and not source.thoughts for source in self.sources):
            raise ValueError(
                "evidence without thoughts has no effect in stage represent: remove it, or name "
                "the thoughts behind it"
            )
        collections = [source for source in self.sources if source.kind == "beir"]
        if any(source.thoughts for source in collections):
            if self.needs_pairs or self.distils or not self.weight_lm:
                raise ValueError(
                    "thoughts in stage represent are for weight_lm only: set it above 0 and the "
                    "other weights to 0, or remove them"
                )
            if not all(source.thoughts for source in collections):
                raise ValueError("some sources of kind beir have thoughts and others have none")
        if not self.needs_pairs and not self.distils and not self.weight_lm:
            raise ValueError("all weights are 0: set one of them above 0")
        self.check_terms()
        return self
