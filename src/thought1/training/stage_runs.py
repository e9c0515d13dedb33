"""One stage from its data to its model: what is trained, by which trainer, and what comes out.

It connects the parts of a stage with the trainers; `run` runs the stages one after the other.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, set_seed

from thought1.model.checkpoint import Checkpoint
from thought1.t1 import T1
from thought1.training.arguments import supervised_arguments
from thought1.training.callbacks import FollowAnchor, JsonLog, SaveByClock, Scores, Validate
from thought1.training.companion.embedder import CompanionEmbedder
from thought1.training.companion.prepare import companion_parts
from thought1.training.companion.tune import trainable, with_trained
from thought1.training.cross_fit import Writer, sample_by_folds
from thought1.training.data.sources import TrainingData
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.model.adapters import adapt
from thought1.training.model.anchor import Anchor, find_anchor, kept_with
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.prepare import Parts, read_rows
from thought1.training.reason.prepare import reason_parts
from thought1.training.recipe import (
    LEARNT,
    CompanionStage,
    ReasonStage,
    Recipe,
    ReinforceStage,
    RepresentStage,
    StageConfig,
)
from thought1.training.represent import represent_parts
from thought1.training.teacher import TeacherVectors
from thought1.training.thinking_validation import thought_scores
from thought1.training.trainer import StageTrainer
from thought1.training.validation import Validation

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageRun:
    """A stage about to train."""

    recipe: Recipe
    model: T1
    data: TrainingData
    folder: Path
    validation: Validation | None
    resume: Path | None


@dataclass(frozen=True, slots=True)
class Trained:
    """What a stage has made."""

    checkpoint: Checkpoint
    """With its adapters, if any, separate from the weights, and the anchor that was learnt."""
    scores: Scores
    steps: int
    notes: dict[str, Any]
    """For the lineage."""


def _anchor(recipe: Recipe, stage: StageConfig, model: T1) -> Anchor | None:
    return find_anchor(
        model.queries.reader, trains=stage.learns_anchor, learnt=recipe.model.anchor == LEARNT
    )


def run_supervised(
    given: StageRun, stage: RepresentStage | ReasonStage, teacher: TeacherVectors
) -> Trained:
    """Train stage 1 or 2; the scores are the last ones."""
    recipe, model, folder = given.recipe, given.model, given.folder
    checkpoint = model.checkpoint
    args = supervised_arguments(recipe, stage, folder)
    read = read_rows(recipe, stage, model, given.data, teacher)
    if isinstance(stage, RepresentStage):
        parts = represent_parts(stage, read)
    else:
        parts = reason_parts(stage, read, model, SampledThoughts(folder), args)
    anchor = _anchor(recipe, stage, model)
    adapted = adapt(checkpoint, stage)
    embedder = TrainedEmbedder(checkpoint.model, language=stage.weight_language > 0, anchor=anchor)
    steps, scores = _fit(given, stage, parts, embedder, model)
    return Trained(kept_with(anchor, adapted), scores, steps, parts.notes)


def run_companion(
    given: StageRun, stage: CompanionStage, teacher: TeacherVectors, writer: Writer
) -> Trained:
    """Train the companion.

    Args:
        writer: the language models whose thoughts it reads.
    """
    recipe, folder, data = given.recipe, given.folder, given.data
    checkpoint, sampled = given.model.checkpoint, SampledThoughts(folder)
    assert checkpoint.companion is not None
    rounds, first_seed = range(stage.samples_per_query), recipe.seed * 1_000_003
    sample_by_folds(stage, data.pairs, sampled, rounds, first_seed, writer)
    set_seed(recipe.seed)
    companion = trainable(checkpoint.companion, stage)
    model = T1(replace(checkpoint, companion=companion))
    parts = companion_parts(stage, model, data, teacher, sampled, recipe.seed)
    embedder = CompanionEmbedder(companion.model, model.settings.anchor_weight)
    steps, scores = _fit(given, stage, parts, embedder, model)
    share, dtype = stage.share_kept, recipe.release_dtype
    found = with_trained(checkpoint, companion, share, folder / "companion", dtype)
    return Trained(found, scores, steps, parts.notes)


def _fit(
    given: StageRun,
    stage: RepresentStage | ReasonStage | CompanionStage,
    parts: Parts,
    embedder: TrainedEmbedder | CompanionEmbedder,
    model: T1,
) -> tuple[int, Scores]:
    """Train `embedder`; the steps, and the last scores of the model that it is part of."""
    recipe, folder, resume = given.recipe, given.folder, given.resume
    log = JsonLog(folder / "log.jsonl")
    callbacks: list[TrainerCallback] = [SaveByClock(stage.save_minutes), log, *parts.callbacks]
    if embedder.anchor is not None:
        callbacks.insert(0, FollowAnchor(model, embedder.anchor))
    check = None
    if given.validation:
        validation = given.validation
        thinks = stage.thinks or recipe.model.companion
        score = thought_scores(recipe, stage, validation) if thinks else validation.score
        check = Validate(partial(score, model), stage.eval_steps, log)
        callbacks.append(check)
    trainer = StageTrainer(
        stage=stage,
        model=embedder,
        args=supervised_arguments(recipe, stage, folder),
        train_dataset=parts.plan,
        data_collator=parts.collator,
        callbacks=callbacks,
    )
    start = resume or "the start"
    logger.info("stage %s: %d batches, from %s", stage.name, len(parts.plan), start)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer.state.global_step, check.scores if check else {}


def run_reinforced(given: StageRun, stage: ReinforceStage) -> Trained:
    """Train stage 3; the weights that stay are those of the best evaluation, if there was one."""
    from thought1.training.reinforce.prepare import (  # trl takes seconds to import
        prepare_reinforce,
        reinforce_trainer,
    )

    recipe, model = given.recipe, given.model
    parts = prepare_reinforce(recipe, stage, model, given.data, given.folder)
    adapted = adapt(model.checkpoint, stage)
    anchor = _anchor(recipe, stage, model)
    trainer, best = reinforce_trainer(recipe, parts, given.validation, given.resume, anchor)
    trainer.train(resume_from_checkpoint=str(given.resume) if given.resume else None)
    PartialState().wait_for_everyone()
    notes: dict[str, Any] = {}
    scores: Scores = {}
    if best is not None:
        found = best.restore()
        scores, notes = found["scores"], {"best_step": found["step"]}
    trainer.release_anchor()
    kept = kept_with(anchor, adapted)
    return Trained(kept, scores, trainer.state.global_step, notes)
