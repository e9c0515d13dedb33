"""What every supervised stage's trainer is given: its plan of batches, its collator, its callbacks.

It knows recipes, data and a model's tokens, no stage of its own and no trainer.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from thought1.t1 import T1
from thought1.training.data.batches import BatchPlan, Rows, plan_stage
from thought1.training.data.collate import Collator
from thought1.training.data.sources import TrainingData
from thought1.training.data.tokens import stream, tokenize
from thought1.training.given import with_given
from thought1.training.recipe import Recipe, SupervisedStage
from thought1.training.teacher import TeacherVectors, mine_negatives


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a stage's training."""

    plan: BatchPlan
    collator: Collator
    callbacks: list[TrainerCallback] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    """For the checkpoint's lineage."""


@dataclass(frozen=True, slots=True)
class TokenizedData:
    """A stage's data, tokenised and planned."""

    data: TrainingData
    rows: Rows
    plan: BatchPlan


def read_rows(
    recipe: Recipe, stage: SupervisedStage, model: T1, data: TrainingData, teacher: TeacherVectors
) -> TokenizedData:
    """Tokenise, mine negatives, and plan the batches."""
    process = PartialState()
    with process.main_process_first():
        # Kept on disk, like the teacher's vectors.
        streamed = stream(model, data.streams, Path(recipe.output))
    rows = tokenize(model, data, teacher, streamed, stage.max_thought_tokens)
    with process.main_process_first():
        rows = with_given(rows, stage, model, data, Path(recipe.output))
    negatives = negatives_of(stage, data, rows)
    plan = plan_stage(data, rows, stage, recipe.seed, negatives, process.num_processes)
    return TokenizedData(data, rows, plan)


def negatives_of(
    stage: SupervisedStage, data: TrainingData, rows: Rows
) -> dict[str, list[str]] | None:
    """Candidates of hard negatives by query id; None if the stage wants none."""
    if not stage.negatives_per_query:
        return None
    queries = {pair.query_id: pair.query for pair in data.pairs}
    return mine_negatives(queries, rows.answers, data.pool, rows.teacher, stage.negative_depth)
