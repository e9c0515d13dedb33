"""Own thoughts as they will be at test time: about each question by a model that never saw its
reference thought.

A model that has memorised the thoughts of its training questions repeats them; what the vector
then learns to read is nothing like what it will read later. So the questions fall into folds, and
the thoughts about each fold come from a copy of the model that is taught the thoughts of the other
folds. Our own decision, after cross-fitting (Wolpert 1992, Stacked Generalization).

It knows models, thoughts and the optimizer, no files but through `OwnThoughts`.
"""

import copy
import hashlib
import logging
import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from accelerate import PartialState
from transformers import get_linear_schedule_with_warmup

from thought1.config import StageConfig
from thought1.t1 import T1
from thought1.training.batches import Batch, taught
from thought1.training.embedder import Embedder
from thought1.training.own_thoughts import OwnSampling, sample_thoughts
from thought1.training.reason import ReasonCollator
from thought1.training.sources import Pair
from thought1.types import Thought

logger = logging.getLogger(__name__)


def fold_of(query: str, folds: int) -> int:
    """The fold of a question, the same in every run; equal questions share theirs."""
    return int(hashlib.sha256(query.encode()).hexdigest(), 16) % folds


def sample_by_folds(model: T1, sampling: OwnSampling, collate: ReasonCollator) -> None:
    """Write all rounds of own thoughts that a plan reads, but those that are there already."""
    stage, own = sampling.stage, sampling.own
    missing = [number for number in sorted(sampling.rounds) if not own.path(number).is_file()]
    process = PartialState()
    if missing and process.is_main_process:
        found: dict[int, dict[str, Thought]] = {number: {} for number in missing}
        for fold in range(stage.own_folds):
            logger.info("fold %d of %d: teaching and sampling", fold + 1, stage.own_folds)
            inside = [fold_of(pair.query, stage.own_folds) == fold for pair in sampling.pairs]
            about = [pair for pair, held in zip(sampling.pairs, inside, strict=True) if held]
            rest = [pair for pair, held in zip(sampling.pairs, inside, strict=True) if not held]
            known = [pair for pair in rest if pair.thought]
            writer = _taught(model, known, collate, stage, sampling.seed + fold)
            for number in missing:
                found[number] |= sample_thoughts(writer, about, stage, sampling.seed + number)
        for number, thoughts in found.items():
            own.write(number, thoughts)
    process.wait_for_everyone()


def _taught(
    model: T1, pairs: Sequence[Pair], collate: ReasonCollator, stage: StageConfig, seed: int
) -> T1:
    """A copy of the model after `fold_epochs` of the next-token loss over the pairs' thoughts."""
    copied = copy.deepcopy(model.checkpoint.model)
    embedder = Embedder(copied, language=True).train()
    batches = _batches(pairs, stage, seed)
    optimizer = torch.optim.AdamW(
        embedder.parameters(), stage.learning_rate, weight_decay=stage.weight_decay
    )
    warmup = round(stage.warmup_ratio * len(batches))
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, len(batches))
    device = copied.device
    for batch in batches:
        inputs = collate.queries(batch)
        rows = [inputs[f"query_{name}"].to(device) for name in ("ids", "segments", "labels")]
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=stage.bf16):
            _, loss = embedder(*rows)
        loss.backward()
        if stage.max_grad_norm:
            torch.nn.utils.clip_grad_norm_(embedder.parameters(), stage.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return T1(replace(model.checkpoint, model=copied))


def _batches(pairs: Sequence[Pair], stage: StageConfig, seed: int) -> list[Batch]:
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
