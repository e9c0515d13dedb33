"""What a stage's trainer is given: its class, its plan of batches, its collator, its callbacks.

It chooses between the stages, which know nothing of each other; it trains nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback

from thought1.config import Recipe, StageConfig
from thought1.t1 import T1
from thought1.training.batches import Ids, Plan, Rows, plan_stage
from thought1.training.collate import Collator
from thought1.training.folds import sample_by_folds
from thought1.training.gain import drop_useless_thoughts
from thought1.training.own_thoughts import OwnSampling, OwnThoughts, SampleOwnThoughts
from thought1.training.reason import (
    ReasonCollator,
    ReasonTrainer,
    ThoughtRows,
    plan_thoughts,
    rounds_read,
)
from thought1.training.represent import RepresentTrainer
from thought1.training.sources import Pair, TrainingData
from thought1.training.stage_trainer import StageTrainer
from thought1.training.teacher import TeacherVectors, mine_negatives
from thought1.training.tokens import render, stream, tokenize, trajectories


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a stage's training."""

    trainer: type[StageTrainer]
    plan: Plan
    collator: Collator
    callbacks: list[TrainerCallback] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)
    """For the checkpoint's lineage."""


def prepare(
    recipe: Recipe,
    stage: StageConfig,
    model: T1,
    data: TrainingData,
    teacher: TeacherVectors,
    folder: Path,
) -> Parts:
    """Tokenise, plan, and, for stage 2, filter the reference thoughts and have own ones sampled.

    Args:
        model: as the stage begins.
        folder: of the stage.
    """
    process = PartialState()
    with process.main_process_first():
        # Kept on disk, like the teacher's vectors.
        streamed = stream(model, data.streams, Path(recipe.output))
    rows = tokenize(model, data, teacher, streamed, stage.max_thought_tokens)
    negatives = _negatives(stage, data, rows) if stage.negatives_per_query else None
    plan = plan_stage(data, rows, stage, recipe.seed, negatives, process.num_processes)
    if not stage.thinks:
        return Parts(RepresentTrainer, plan, Collator(rows, language=stage.weight_language > 0))
    return _reason(stage, recipe.seed, model, _Read(data, rows, plan), OwnThoughts(folder))


def _negatives(stage: StageConfig, data: TrainingData, rows: Rows) -> dict[str, list[str]]:
    queries = {pair.query_id: pair.query for pair in data.pairs}
    return mine_negatives(queries, rows.answers, data.pool, rows.teacher, stage.negative_depth)


@dataclass(frozen=True, slots=True)
class _Read:
    """A stage's data, tokenised and planned."""

    data: TrainingData
    rows: Rows
    plan: Plan


def _reason(stage: StageConfig, seed: int, model: T1, read: _Read, own: OwnThoughts) -> Parts:
    pairs, notes = read.data.pairs, {}
    if stage.filter_gain:
        most = stage.max_thought_tokens
        pairs, counts = drop_useless_thoughts(model, pairs, read.data.pool, most)
        notes["reference_thoughts"] = asdict(counts)
    processes = PartialState().num_processes
    known = {pair.query_id for pair in pairs if pair.thought}
    plan = plan_thoughts(read.plan, stage, known, seed, stage.accumulation * processes)
    rounds = rounds_read(plan)
    found = thought_rows(model, pairs, read.rows, stage.max_thought_tokens)
    collator = ReasonCollator(found, own, language=stage.weight_language > 0)
    callbacks: list[TrainerCallback] = []
    sampling = OwnSampling(pairs, stage, seed * 1_000_003, own, rounds)
    if stage.own_folds:
        sample_by_folds(model, sampling, ReasonCollator(found, own, language=True))
    elif rounds:
        callbacks.append(SampleOwnThoughts(model, sampling))
    return Parts(ReasonTrainer, plan, collator, callbacks, notes)


def thought_rows(model: T1, pairs: Sequence[Pair], rows: Rows, most: int) -> ThoughtRows:
    """`rows`, with the prompts of `pairs` and their reference thoughts of at most `most` tokens."""
    shown = [pair.evidence for pair in pairs] if any(pair.evidence for pair in pairs) else None
    _, ended = render(model, "query", [pair.query for pair in pairs], shown)
    prompts: dict[str, Ids] = {p.query_id: row[:-1] for p, row in zip(pairs, ended, strict=True)}
    thinking = [pair for pair in pairs if pair.thought]
    thoughts = trajectories(model, [pair.thought for pair in thinking], most)
    references = {p.query_id: thought for p, thought in zip(thinking, thoughts, strict=True)}
    return ThoughtRows(rows, prompts, references, model.checkpoint.emb_id)
