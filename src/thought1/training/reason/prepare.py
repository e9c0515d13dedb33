"""Stage 2, reason: the model writes a trajectory and embeds after it, in one forward pass.

Loss: weight_sft x next-token loss over reference thoughts + weight_contrastive x InfoNCE +
weight_triplet x triplet margin + weight_distill x (1 - cosine to a teacher's vector) where nothing
is thought; the preview model's card states 1, 1 and 2 (docs/design.md). Each
query's vector is read after its reference thought, after a thought sampled from the model, or after
none (thought dropout), by shares that change in the course of the stage. The SFT term always sees
the reference. Sampled thoughts and the shares are our own decision: a reference thought that holds
the answer's words trains the vector to copy it and to trust any thought blindly.

It knows batches and token ids; sampled thoughts are stored in the stage's folder.
"""

import random
from collections.abc import Set
from dataclasses import asdict, replace

from accelerate import PartialState
from transformers import TrainerCallback, TrainingArguments

from thought1.t1 import T1
from thought1.training.cross_fit import sample_by_folds
from thought1.training.data.batches import BatchPlan, Mode
from thought1.training.data.thoughts import SampledThoughts, ThoughtCollator, thought_rows
from thought1.training.prepare import Parts, TokenizedData
from thought1.training.reason.cross_fit import fold_writer
from thought1.training.reason.sampling import SampleOwnThoughts, ThoughtSampling
from thought1.training.reason.thought_filter import drop_useless_thoughts
from thought1.training.recipe import ReasonStage


def reason_parts(
    stage: ReasonStage,
    read: TokenizedData,
    model: T1,
    sampled: SampledThoughts,
    args: TrainingArguments,
) -> Parts:
    """What the trainer of stage 2 is given, with the reference thoughts filtered, and thoughts
    sampled or about to be.

    Args:
        model: as the stage begins.
        args: of the stage's trainer; the seed is the recipe's.
    """
    pairs, notes = read.data.pairs, {}
    most = stage.max_thought_tokens
    if stage.filter_gain:
        pairs, counts = drop_useless_thoughts(model, pairs, read.data.pool, most)
        notes["reference_thoughts"] = asdict(counts)
    processes = PartialState().num_processes
    known = {pair.query_id for pair in pairs if pair.thought}
    plan = plan_thoughts(read.plan, stage, known, args.seed, stage.accumulation * processes)
    rounds = rounds_read(plan)
    found = thought_rows(model, pairs, read.rows, most)
    anchored = model.companion is None and model.settings.anchor_weight > 0
    language = stage.weight_language > 0
    collator = ThoughtCollator(found, sampled, language=language, anchored=anchored)
    callbacks: list[TrainerCallback] = []
    sampling = ThoughtSampling(pairs, stage, args.seed * 1_000_003, sampled, rounds)
    if stage.sampled_folds:
        teaching = ThoughtCollator(found, sampled, language=True)
        writer = fold_writer(model, stage, sampling.seed, teaching, args)
        sample_by_folds(stage, pairs, sampled, rounds, sampling.seed, writer)
    elif rounds:
        callbacks.append(SampleOwnThoughts(model, sampling))
    return Parts(plan, collator, callbacks, notes)


def plan_thoughts(
    plan: BatchPlan, stage: ReasonStage, known: Set[str], seed: int, batches_per_step: int
) -> BatchPlan:
    """The same batches, with the kind of thought after which each query's vector is read.

    Args:
        known: ids of the queries with a reference thought; the others never get a mode
            "reference": without one there is "none".
        batches_per_step: of one optimizer step, over all processes.
    """
    rng = random.Random(f"{seed} thoughts")
    steps = -(-len(plan) // batches_per_step)  # the last one may have fewer batches
    planned = []
    for number, batch in enumerate(plan.batches):
        step = number // batches_per_step
        share_sampled = stage.share_sampled_start + (
            stage.share_sampled_end - stage.share_sampled_start
        ) * (step / max(1, steps - 1))
        modes = tuple(_mode(rng, stage, share_sampled, q in known) for q in batch.query_ids)
        # The loader prepares one batch ahead: what is sampled after a step is read one step later.
        sampling = max(step - 1, 0) // stage.sampled_every if stage.sampled_every else 0
        planned.append(replace(batch, modes=modes, round=sampling))
    return BatchPlan(planned)


def _mode(rng: random.Random, stage: ReasonStage, share_sampled: float, known: bool) -> Mode:
    drawn = rng.random()
    if drawn < stage.share_none:
        return "none"
    if drawn < stage.share_none + share_sampled:
        return "own"
    return "reference" if known else "none"


def rounds_read(plan: BatchPlan) -> set[int]:
    """The rounds of sampled thoughts that a plan reads."""
    return {batch.round for batch in plan.batches if "own" in batch.modes}
