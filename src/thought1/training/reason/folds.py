"""Own thoughts as they will be at test time: about each question by a model that never saw its
reference thought.

A model that has memorised the thoughts of its training questions repeats them; what the vector
then learns to read is nothing like what it will read later. So the questions fall into folds, and
the thoughts about each fold come from a copy of the model that is taught the thoughts of the other
folds. Our own decision, after cross-fitting (Wolpert 1992, Stacked Generalization).

It knows models, thoughts and the optimizer, no files but through `OwnThoughts`.
"""

import hashlib
import logging
import random
from collections.abc import Sequence
from dataclasses import replace

from accelerate import PartialState
from transformers import PrinterCallback, TrainingArguments

from thought1.t1 import T1
from thought1.training.data.batches import Batch, Plan, taught
from thought1.training.data.sources import Pair
from thought1.training.data.thoughts import ThoughtCollator
from thought1.training.model.adapters import adapt, copied, merged
from thought1.training.model.embedder import Embedder
from thought1.training.reason.sampling import OwnSampling, sample_thoughts
from thought1.training.recipe import ReasonStage
from thought1.training.trainer import StageTrainer
from thought1.types import Thought

logger = logging.getLogger(__name__)


def fold_of(query: str, folds: int) -> int:
    """The fold of a question, the same in every run; equal questions share theirs."""
    return int(hashlib.sha256(query.encode()).hexdigest(), 16) % folds


def sample_by_folds(
    model: T1, sampling: OwnSampling, collate: ThoughtCollator, args: TrainingArguments
) -> None:
    """Write all rounds of own thoughts that a plan reads, but those that are there already.

    Args:
        collate: with a next-token loss.
        args: of the stage's trainer.
    """
    stage, own = sampling.stage, sampling.own
    missing = [number for number in sorted(sampling.rounds) if not own.path(number).is_file()]
    process = PartialState()
    process.wait_for_everyone()  # all have looked before one writes
    if not missing:
        return
    found: dict[int, dict[str, Thought]] = {number: {} for number in missing}
    for fold in range(stage.own_folds):
        logger.info("fold %d of %d: teaching and sampling", fold + 1, stage.own_folds)
        inside = [fold_of(pair.query, stage.own_folds) == fold for pair in sampling.pairs]
        about = [pair for pair, held in zip(sampling.pairs, inside, strict=True) if held]
        rest = [pair for pair, held in zip(sampling.pairs, inside, strict=True) if not held]
        known = [pair for pair in rest if pair.thought]
        writer = _taught(model, known, collate, stage, sampling.seed + fold, args)
        if process.is_main_process:
            for number in missing:
                found[number] |= sample_thoughts(writer, about, stage, sampling.seed + number)
    if process.is_main_process:
        for number, thoughts in found.items():
            own.write(number, thoughts)
    process.wait_for_everyone()


def _taught(
    model: T1,
    pairs: Sequence[Pair],
    collate: ThoughtCollator,
    stage: ReasonStage,
    seed: int,
    args: TrainingArguments,
) -> T1:
    """A copy of the model after `fold_epochs` of the next-token loss over the pairs' thoughts.

    It is taught as the stage teaches: by its trainer, with its adapters and checkpointing.
    """
    checkpoint = copied(model.checkpoint)
    batches = _batches(pairs, stage, seed)
    if not batches:
        return T1(checkpoint)
    checkpoint = adapt(checkpoint, stage)
    alone = replace(args, logging_strategy="no", report_to=[], gradient_accumulation_steps=1)
    trainer = StageTrainer(
        stage=replace(stage, weight_sft=1.0),
        model=Embedder(checkpoint.model, language=True),
        args=alone,
        train_dataset=Plan(batches),
        data_collator=collate,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return T1(merged(checkpoint))


def _batches(pairs: Sequence[Pair], stage: ReasonStage, seed: int) -> list[Batch]:
    rng = random.Random(seed)
    if not pairs:  # so few questions that all thoughts are in the fold held out
        return []
    size = min(stage.queries_per_batch, len(pairs))
    wanted = max(1, round(stage.fold_epochs * len(pairs) / size))
    order: list[Pair] = []
    while len(order) < wanted * size:
        order += rng.sample(list(pairs), len(pairs))
    groups = [order[i * size : (i + 1) * size] for i in range(wanted)]
    return [taught([pair.query_id for pair in group]) for group in groups]
