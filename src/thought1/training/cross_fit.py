"""Thoughts of a model about training questions, also as they will be at test time: about each
question by a model that never saw its reference thought.

A model that has memorised the thoughts of its training questions repeats them; what a vector then
learns to read is nothing like what it will read later. So the questions fall into folds, and the
thoughts about each fold come from a model that was trained on the other folds' thoughts. Our own
decision, after cross-fitting (Wolpert 1992, Stacked Generalization).

It knows models and questions, not how the models of the folds are trained, and no files except
through `SampledThoughts`.
"""

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence

from accelerate import PartialState

from thought1.t1 import T1
from thought1.training.data.sources import TrainingPair, shown_evidence
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.recipe import CompanionStage, ReasonStage
from thought1.types import Sampling, Thought

logger = logging.getLogger(__name__)

Writer = Callable[[int, Sequence[TrainingPair], Sequence[TrainingPair]], T1]
"""The model of a fold, from its number, the questions it writes about, and all others."""


def fold_of(query: str, folds: int) -> int:
    """The fold of a question, the same in every run; equal questions share theirs."""
    return int(hashlib.sha256(query.encode()).hexdigest(), 16) % folds


def sample_by_folds(
    stage: ReasonStage | CompanionStage,
    pairs: Sequence[TrainingPair],
    sampled: SampledThoughts,
    rounds: Collection[int],
    seed: int,
    writer: Writer,
) -> None:
    """Write all rounds of sampled thoughts, except those that exist already.

    Args:
        seed: of round 0.
    """
    missing = [number for number in sorted(rounds) if not sampled.path(number).is_file()]
    process = PartialState()
    process.wait_for_everyone()  # all have looked before one writes
    if not missing:
        return
    found: dict[int, dict[str, Thought]] = {number: {} for number in missing}
    for fold in range(stage.sampled_folds):
        logger.info("fold %d of %d: training and sampling", fold + 1, stage.sampled_folds)
        inside = [fold_of(pair.query, stage.sampled_folds) == fold for pair in pairs]
        about = [pair for pair, held in zip(pairs, inside, strict=True) if held]
        rest = [pair for pair, held in zip(pairs, inside, strict=True) if not held]
        model = writer(fold, about, rest)
        if process.is_main_process:
            for number in missing:
                found[number] |= sample_thoughts(model, about, stage, seed + number)
    if process.is_main_process:
        for number, thoughts in found.items():
            sampled.write(number, thoughts)
    process.wait_for_everyone()


def sample_thoughts(
    model: T1, pairs: Sequence[TrainingPair], stage: ReasonStage | CompanionStage, seed: int
) -> dict[str, Thought]:
    """A thought of the model about each question, by query id."""
    model.checkpoint.model.eval()  # a trainer leaves it in training mode
    thoughts = model.think(
        [pair.query for pair in pairs],
        budget=stage.max_thought_tokens,
        sampling=Sampling(
            stage.sampled_temperature,
            stage.sampled_top_p,
            seed,
            model.settings.thought.no_repeat_ngram,
        ),
        evidence=shown_evidence(pairs),
        batch_size=64,
    )
    return {pair.query_id: thought for pair, thought in zip(pairs, thoughts, strict=True)}
