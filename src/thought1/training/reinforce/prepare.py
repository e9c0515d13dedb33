"""Puts stage 3 together: questions, negatives, the pool, the probe, and trl's trainer.

It knows recipes and parts; what they do is theirs.
"""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import PartialState
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from thought1.data.rollouts import cut_rollouts
from thought1.t1 import T1
from thought1.training.arguments import grpo_values
from thought1.training.callbacks import FollowAnchor, JsonLog, SaveByClock
from thought1.training.data.sources import TrainingData
from thought1.training.data.thoughts import thought_rows
from thought1.training.data.tokens import tokenize
from thought1.training.given import with_given
from thought1.training.model.anchor import Anchor
from thought1.training.recipe import Recipe, ReinforceStage
from thought1.training.reinforce.alarms import Alarms
from thought1.training.reinforce.best_checkpoint import KeepAlarms, ValidateBest
from thought1.training.reinforce.document_pool import DocumentPool, encode
from thought1.training.reinforce.grpo import Policy, ReinforceTrainer, grpo_config
from thought1.training.reinforce.policy_probe import Probe
from thought1.training.reinforce.rewarder import ROLLOUTS, Rewarder
from thought1.training.teacher import mine_negatives
from thought1.training.thinking_validation import thought_scores
from thought1.training.validation import Validation
from thought1.types import Sampling


@dataclass(frozen=True, slots=True)
class ReinforceParts:
    """What stage 3 needs besides the weights in training."""

    rewarder: Rewarder
    reference: PreTrainedModel | None


def prepare_reinforce(
    recipe: Recipe, stage: ReinforceStage, model: T1, data: TrainingData, folder: Path
) -> ReinforceParts:
    """Tokenise, mine negatives, copy the reference.

    Args:
        model: as the stage begins, adapters not yet in place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = tokenize(model, data, {}, None, stage.max_thought_tokens)
    with PartialState().main_process_first():
        rows = with_given(rows, stage, model, data, Path(recipe.output))
    found = thought_rows(model, data.pairs, rows, stage.max_thought_tokens)
    negatives = _mine(stage, model, data, rows.answers) if stage.negatives_per_query else {}
    config = stage.reinforce
    rewarder = Rewarder(
        model=model,
        stage=stage,
        pairs=data.pairs,
        prompts=found.prompts,
        rows=rows,
        negatives=negatives,
        seed=recipe.seed,
        folder=folder,
        index=DocumentPool(model, data.pool, config, folder) if config.pool == "index" else None,
        alarms=Alarms(stage.max_thought_tokens),
        questions={
            pair.query_id: ids
            for pair, ids in zip(
                data.pairs, model.renderer.text([p.query for p in data.pairs]), strict=True
            )
        },
    )
    reference = None
    if config.weight_kl:
        reference = copy.deepcopy(model.checkpoint.model).eval().requires_grad_(False)
    return ReinforceParts(rewarder, reference)


def _mine(
    stage: ReinforceStage, model: T1, data: TrainingData, answers: Mapping[str, frozenset[str]]
) -> dict[str, list[str]]:
    """By the model's own vectors, not thinking."""
    queries = {pair.query_id: pair.query for pair in data.pairs}
    texts, pool = list(dict.fromkeys(queries.values())), list(dict.fromkeys(data.pool))
    encoded = np.asarray(model.encode_query(texts, budget=0))
    vectors = dict(zip(pool, encode(model, pool), strict=True))
    vectors |= dict(zip(texts, encoded, strict=True))
    return mine_negatives(queries, answers, pool, vectors, stage.negative_depth)


def reinforce_trainer(
    recipe: Recipe,
    parts: ReinforceParts,
    validation: Validation | None,
    resume: Path | None,
    anchor: Anchor | None = None,
) -> tuple[ReinforceTrainer, ValidateBest | None]:
    """trl's trainer with everything in its place, and what keeps the best weights."""
    rewarder = parts.rewarder
    stage, config, folder = rewarder.stage, rewarder.config, rewarder.folder
    model = rewarder.model
    log = JsonLog(folder / "log.jsonl")
    alarms = KeepAlarms(rewarder.alarms)
    if resume is not None:
        alarms.resume(resume)
    if PartialState().is_main_process:
        # The steps since the checkpoint, or the beginning, are sampled a second time.
        begun = int(resume.name.rpartition("-")[2]) if resume else 0
        cut_rollouts(folder / ROLLOUTS, begun - 1)
    callbacks: list[TrainerCallback] = [
        *([FollowAnchor(model, anchor)] if anchor is not None else []),
        SaveByClock(stage.save_minutes, config.iterations),
        log,
        alarms,
    ]
    best = None
    if validation is not None:
        best = ValidateBest(
            _scores(recipe, rewarder, validation),
            stage.eval_steps,
            log,
            model=model.checkpoint.model,
            alarms=rewarder.alarms,
            folder=folder,
        )
        callbacks.append(best)
    trainer = ReinforceTrainer(
        model=model.checkpoint.model,
        tokenizer=_padding(copy.deepcopy(model.tokenizer), model.checkpoint.emb_id),
        args=grpo_config(grpo_values(recipe, stage, folder)),
        indices=plan_questions(
            len(rewarder.pairs), stage, recipe.seed, PartialState().num_processes
        ),
        roll=rewarder,
        policy=Policy(
            sampling=Sampling(
                config.sampling_temperature,
                no_repeat_ngram=model.settings.thought.no_repeat_ngram,
            ),
            emb_id=model.checkpoint.emb_id,
            weight_policy=config.weight_policy,
            weight_kl=config.weight_kl,
            weight_contrastive=stage.weight_contrastive,
            contrastive_temperature=stage.temperature,
            reference=parts.reference,
            anchor=anchor,
        ),
        callbacks=callbacks,
    )
    return trainer, best


def plan_questions(count: int, stage: ReinforceStage, seed: int, processes: int) -> list[int]:
    """Numbers of questions for all steps, by epochs in which each comes at most once.

    What is left over at the end of an epoch's shuffled order waits for another one.
    """
    size = stage.queries_per_batch * processes
    steps = -(-stage.max_steps // stage.reinforce.iterations)
    wanted = steps if stage.max_steps > 0 else max(1, round(stage.epochs * (count // size)))
    indices: list[int] = []
    epoch = 0
    while len(indices) < wanted * size:
        order = list(range(count))
        random.Random(f"{seed} {epoch} questions").shuffle(order)
        indices += order[: count - count % size]
        epoch += 1
    return indices[: wanted * size]


def _padding(tokenizer: PreTrainedTokenizerBase, emb_id: int) -> PreTrainedTokenizerBase:
    """trl wants a padding token; nothing is padded with it."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(emb_id)
    return tokenizer


def _scores(
    recipe: Recipe, rewarder: Rewarder, validation: Validation
) -> Callable[[int], dict[str, float]]:
    """The gauge's scores, and the divergence of the probe's thoughts."""
    stage, config = rewarder.stage, rewarder.config
    score = thought_scores(recipe, stage, validation)
    chosen: Sequence[str] = sorted(validation.queries)[: config.probes]
    probe = Probe(
        {q: validation.queries[q] for q in chosen},
        stage.max_thought_tokens,
        Sampling(
            config.sampling_temperature,
            seed=recipe.seed,
            no_repeat_ngram=rewarder.model.settings.thought.no_repeat_ngram,
        ),
        rewarder.folder,
    )

    def look(step: int) -> dict[str, float]:
        scores = score(rewarder.model)
        if chosen:
            scores["probe_kl"] = probe.look(rewarder.model, step)
        return scores

    return look
