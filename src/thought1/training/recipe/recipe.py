"""Everything that a recipe may say: names, types, ranges, and which combinations are valid.

`read` reads it from a file. It knows the values of a training, not their use.
"""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, model_validator

from thought1.training.recipe.companion import CompanionStage
from thought1.training.recipe.model import LEARNT, ModelConfig
from thought1.training.recipe.reason import ReasonStage
from thought1.training.recipe.reinforce import ReinforceStage
from thought1.training.recipe.represent import RepresentStage
from thought1.training.recipe.table import Flag, Int, Text, table

DEFAULT_STAGE = "represent"


def _kind(stage: Any) -> Any:
    if isinstance(stage, dict):
        return stage.get("stage", DEFAULT_STAGE)
    return getattr(stage, "stage", DEFAULT_STAGE)


StageConfig = Annotated[
    Annotated[RepresentStage, Tag("represent")]
    | Annotated[ReasonStage, Tag("reason")]
    | Annotated[ReinforceStage, Tag("reinforce")]
    | Annotated[CompanionStage, Tag("companion")],
    Discriminator(_kind),
]
"""One of `[[stages]]`; its key `stage` says which."""
STAGES: dict[str, type[RepresentStage | ReasonStage | ReinforceStage | CompanionStage]] = {
    "represent": RepresentStage,
    "reason": ReasonStage,
    "reinforce": ReinforceStage,
    "companion": CompanionStage,
}


@table
class ValidationConfig:
    """The questions on which everything is chosen."""

    path: Text
    """BEIR folder, relative to the recipe's `data`."""
    split: Text
    ids: Text = ""
    """File with query ids, one a line, relative to the recipe's folder; "" takes the whole
    split."""


def companion_problem(stage: StageConfig, reader: str) -> str:
    """Why a stage cannot train what it should with a companion read that way; or ""."""
    if reader == "both":
        return (
            "the vectors are its own beside its companion's, and no stage trains such a model: "
            "train both apart, and join them afterwards"
        )
    if isinstance(stage, CompanionStage):
        reads = "the companion reads no thoughts where its reader is a projection"
        return "" if reader == "text" else reads
    if stage.distils or (stage.needs_pairs and reader == "text"):
        return (
            "the companion gives the vectors, and weight_contrastive, weight_triplet and "
            "weight_distill teach it nothing: set them to 0"
        )
    if stage.needs_pairs and not stage.learns_anchor:
        return (
            "without thoughts the companion gives the vectors, and weight_contrastive and "
            "weight_triplet teach its projection nothing: set them to 0"
        )
    return ""


@table
class Recipe:
    """Everything that makes a checkpoint."""

    name: Text
    model: ModelConfig
    stages: tuple[StageConfig, ...]
    data: Text = "data"
    """Folder of the training files; relative to the working directory."""
    output: Text = "runs/recipe"
    seed: Int = 0
    teacher: Text = ""
    """sentence-transformers model whose vectors are distilled: folder, hub id or `package:`."""
    trust_remote_code: Flag = False
    """Run Python code from the folder of the base or a teacher, if they need it."""
    validation: ValidationConfig | None = None
    release: Text = ""
    """Folder for the finished checkpoint; "" leaves it in the last stage's folder in `output`."""
    adapter: Flag = False
    """Keep the low-rank updates separate from the weights in all stages: what is trained, saved and
    released is one adapter, which names its base by the hash of its content."""
    release_dtype: Literal["float32", "bfloat16", "float16"] = "float16"
    folder: Text = field(default=".", metadata={"not_a_key": True})
    """Folder of the recipe file; filled in by `read.load_recipe`."""

    @model_validator(mode="after")
    def _check(self) -> "Recipe":
        if self.adapter:
            self._check_adapter()
        if self.model.companion:
            self._check_companion()
        self._check_companion_stages()
        if self.model.anchor == LEARNT and not any(s.learns_anchor for s in self.stages):
            raise ValueError(
                'model.anchor = "learnt" has no effect: only stages reason and reinforce with '
                "weight_contrastive or weight_triplet above 0 learn it"
            )
        for stage in self.stages:
            if isinstance(stage, ReinforceStage) or not stage.needs_teacher:
                continue
            if not (stage.teacher or self.teacher):
                raise ValueError(
                    f"stage {stage.name}: distillation, hard negatives and false_negative_margin "
                    "need a teacher: set `teacher`"
                )
        return self

    def _check_companion(self) -> None:
        reader, trained = self.model.companion_reader, False
        for stage in self.stages:
            problem = companion_problem(stage, reader)
            if problem:
                raise ValueError(f"stage {stage.name}: {problem}")
            if isinstance(stage, ReasonStage) and stage.filter_gain and not trained:
                raise ValueError(
                    f"stage {stage.name}: filter_gain measures what thoughts gain, and no stage "
                    "before this one has trained the projection: set it to false"
                )
            trained = trained or stage.learns_anchor

    def _check_companion_stages(self) -> None:
        for number, stage in enumerate(self.stages):
            if not isinstance(stage, CompanionStage):
                continue
            if not self.model.companion:
                raise ValueError(f"stage {stage.name} needs a companion to train: model.companion")
            if not number:
                raise ValueError(
                    f"stage {stage.name} needs stages before it that teach the thoughts which the "
                    "companion learns to read"
                )

    def _check_adapter(self) -> None:
        thinkers = [stage for stage in self.stages if not isinstance(stage, CompanionStage)]
        ranks = {(stage.lora_rank, stage.lora_alpha) for stage in thinkers}
        if len(ranks) != 1 or 0 in next(iter(ranks)):
            raise ValueError(
                "adapter = true needs one lora_rank above 0, and one lora_alpha, in all stages "
                "of the language model"
            )
        if self.model.scratch or self.model.vocab_size:
            raise ValueError(
                "adapter = true updates an existing model: remove scratch and vocab_size"
            )
