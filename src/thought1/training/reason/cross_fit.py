"""The models of the folds (`cross_fit`): copies of the stage's model, trained by its trainer.

It knows models, thoughts and the optimizer, no files.
"""

import random
from collections.abc import Sequence
from dataclasses import replace

from transformers import PrinterCallback, TrainingArguments

from thought1.t1 import T1
from thought1.training.cross_fit import Writer
from thought1.training.data.batches import Batch, BatchPlan, sft_batch
from thought1.training.data.sources import TrainingPair
from thought1.training.data.thoughts import ThoughtCollator
from thought1.training.model.adapters import adapt, copied, merged
from thought1.training.model.embedder import TrainedEmbedder
from thought1.training.recipe import ReasonStage
from thought1.training.trainer import StageTrainer


def fold_writer(
    model: T1, stage: ReasonStage, seed: int, collate: ThoughtCollator, args: TrainingArguments
) -> Writer:
    """Copies of the model, each trained on the thoughts of the other folds.

    Args:
        collate: with a next-token loss.
        args: of the stage's trainer.
    """

    def write(fold: int, _about: Sequence[TrainingPair], rest: Sequence[TrainingPair]) -> T1:
        known = [pair for pair in rest if pair.thought]
        return _trained(model, known, collate, stage, seed + fold, args)

    return write


def _trained(
    model: T1,
    pairs: Sequence[TrainingPair],
    collate: ThoughtCollator,
    stage: ReasonStage,
    seed: int,
    args: TrainingArguments,
) -> T1:
    """A copy of the model after `fold_epochs` of the next-token loss over the pairs' thoughts.

    It is trained like the stage: by its trainer, with its adapters and checkpointing.
    """
    checkpoint = copied(model.checkpoint)
    batches = _batches(pairs, stage, seed)
    if not batches:
        return T1(checkpoint)
    checkpoint = adapt(checkpoint, stage)
    alone = replace(args, logging_strategy="no", report_to=[], gradient_accumulation_steps=1)
    trainer = StageTrainer(
        stage=replace(stage, weight_sft=1.0),
        model=TrainedEmbedder(checkpoint.model, language=True),
        args=alone,
        train_dataset=BatchPlan(batches),
        data_collator=collate,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return T1(merged(checkpoint))


def _batches(pairs: Sequence[TrainingPair], stage: ReasonStage, seed: int) -> list[Batch]:
    rng = random.Random(seed)
    if not pairs:  # so few questions that all thoughts are in the fold held out
        return []
    size = min(stage.queries_per_batch, len(pairs))
    wanted = max(1, round(stage.fold_epochs * len(pairs) / size))
    order: list[TrainingPair] = []
    while len(order) < wanted * size:
        order += rng.sample(list(pairs), len(pairs))
    groups = [order[i * size : (i + 1) * size] for i in range(wanted)]
    return [sft_batch([pair.query_id for pair in group]) for group in groups]
