"""What is checked before the first step: the machine, the output folder, and every stage's data.

A mistake in the last stage must show at once, not when the stages before it have run for hours.
It knows recipes and files, no model and no trainer.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import PartialState

from thought1.config import Recipe, StageConfig
from thought1.data.outputs import local
from thought1.rewards import find_reward
from thought1.training.sources import TrainingData, read_sources
from thought1.training.validation import Validation
from thought1.types import Thought1Error

ROUNDING = 1e-9
"""Shares that add up to 1 may miss it by so much."""


def check_devices(processes: int) -> None:
    """Refuse several GPUs in one process: the trainer would split single batches over them."""
    gpus = torch.cuda.device_count()
    if processes == 1 and gpus > 1:
        raise Thought1Error(
            f"{gpus} GPUs, but one process: start with torchrun --nproc-per-node {gpus} "
            "-m thought1.cli train ..., or set CUDA_VISIBLE_DEVICES to one of them"
        )


def claim(output: Path, recipe: Recipe) -> None:
    """Remember in `output` which recipe runs there; another one must not continue its work.

    Where the recipe lies and where it releases to may change, and everything may as long as
    nothing has been saved, own thoughts included.

    Raises:
        Thought1Error: another recipe, or a folder that cannot be written.
    """
    where = output / "recipe.json"
    content = json.loads(json.dumps(asdict(recipe)))
    for key in ("release", "release_dtype", "folder", "trust_remote_code"):
        del content[key]
    for place in filter(None, (recipe.output, recipe.release)):
        local(place)
    try:
        output.mkdir(parents=True, exist_ok=True)
        if recipe.release:
            Path(recipe.release).mkdir(parents=True, exist_ok=True)
        saved = ("checkpoint-*", "model", "own-thoughts-*.jsonl")
        begun = any(any(output.glob(f"*/{name}")) for name in saved)
        if not (begun and where.is_file()):
            partial = where.with_suffix(".partial")
            partial.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
            partial.replace(where)
        written = json.loads(where.read_text("utf-8"))
    except OSError as error:
        raise Thought1Error(f"output or release cannot be written: {error}") from None
    except ValueError as error:
        raise Thought1Error(f"{where} is broken ({error}): remove {output}") from None
    changed = [key for key in content if written.get(key) != content[key]]
    if changed:
        raise Thought1Error(
            f"{output} holds the run of another recipe (it differs in {', '.join(changed)}): "
            "choose another folder (output=FOLDER), or remove it"
        )


def check_validation(
    recipe: Recipe, validation: Validation, stages: Iterable[TrainingData]
) -> None:
    """Refuse questions that are trained on, and those on which stage 2 cannot be gauged.

    Raises:
        Thought1Error: a question's text is a training question of a stage; or fewer than two of
            them have a relevant document, and a stage thinks.
    """
    held = set(validation.queries.values())
    for data in stages:
        asked = [*(pair.query for pair in data.pairs), *(query for query, _ in data.rationales)]
        asked += [text for role, text in data.texts if role == "query"]
        trained = next((text for text in asked if text in held), None)
        if trained is not None:
            raise Thought1Error(
                f"[validation]: {trained!r} is also a training question: name a file of the "
                "validation ids in the source's `exclude`"
            )
    judged = [q for q, grades in validation.qrels.items() if any(g > 0 for g in grades.values())]
    if len(judged) < 2 and any(stage.thinks for stage in recipe.stages):
        raise Thought1Error(
            "[validation]: stage reason swaps thoughts among questions, and needs two or more "
            f"with a relevant document, not {len(judged)}"
        )


def read_stage(recipe: Recipe, stage: StageConfig) -> TrainingData:
    """What a stage trains on: pairs, or single texts where no term compares pairs.

    Raises:
        Thought1Error: broken or missing files (see `read_sources`), or settings and data of which
            a part would have no effect.
    """
    data = read_sources(stage.sources, Path(recipe.data), Path(recipe.folder), recipe.seed)
    if not stage.needs_pairs and stage.stage != "reinforce":
        data.split_pairs()
    problem = _problem(recipe, stage, data)
    if problem:
        raise Thought1Error(f"stage {stage.name}: {problem}")
    return data


def _problem(recipe: Recipe, stage: StageConfig, data: TrainingData) -> str:
    """Why this stage cannot train, or ""."""
    if stage.stage == "reinforce":
        return _reinforce_problem(stage, data)
    special = _thinking_problem(stage, data) if stage.thinks else _thoughtless_problem(stage)
    if special:
        return special
    if not stage.needs_pairs and not stage.distils and not stage.weight_lm:
        return "all weights are 0: set one of them above 0"
    if not (data.pairs or data.texts or data.rationales or data.streams):
        return "its sources hold nothing to train on"
    if data.rationales and not stage.weight_language:
        weight = "weight_sft" if stage.thinks else "weight_lm"
        return f"sources of kind rationales need {weight} above 0: nothing else reads them"
    if stage.needs_teacher and not (stage.teacher or recipe.teacher):
        return (
            "distillation, hard negatives and false_negative_margin need a teacher: set `teacher`"
        )
    if stage.needs_pairs and not data.pairs:
        return "weight_contrastive and weight_triplet need pairs, and its sources hold none"
    if data.texts and not stage.distils and not stage.weight_language:
        ours = "weight_lm, weight_distill or weight_distill_similarity"
        return f"sources of kind texts need {'weight_sft' if stage.thinks else ours} above 0"
    if any(source.stream for source in stage.sources) and not stage.weight_language:
        return "stream needs weight_lm or weight_sft above 0: nothing else reads such a source"
    if stage.weight_lm and not (data.texts or data.rationales or data.streams):
        return (
            "weight_lm reads single texts: it needs a source of kind texts or rationales, or pairs "
            "that no term compares (weight_contrastive and weight_triplet of 0)"
        )
    if not stage.needs_pairs and (stage.negatives_per_query or stage.false_negative_margin):
        return (
            "negatives_per_query and false_negative_margin need weight_contrastive or "
            "weight_triplet above 0"
        )
    if stage.negatives_per_query and not data.pool:
        return "negatives_per_query needs a source of kind beir, to draw them from"
    return ""


def _thoughtless_problem(stage: StageConfig) -> str:
    if any(source.thoughts or source.evidence for source in stage.sources):
        return "thoughts and evidence have no effect in stage represent: remove them"
    return ""


def _reinforce_problem(stage: StageConfig, data: TrainingData) -> str:
    """What fails late, or has no effect, in stage 3."""
    config = stage.reinforce
    if config is None or not config.rewards:
        return "stage reinforce needs a table [stages.reinforce] with `rewards`"
    if not data.pairs:
        return "stage reinforce needs pairs, and its sources hold none"
    if data.texts or data.rationales or data.streams:
        return "stage reinforce reads pairs alone: remove sources of kind texts and rationales"
    if len(data.pairs) < stage.queries_per_batch * PartialState().num_processes:
        return f"queries_per_batch is above the {len(data.pairs)} questions there are"
    if config.group_size < 2:
        return "group_size is 1: a thought is compared with others, set it to 2 or more"
    if stage.queries_per_batch * config.group_size % stage.accumulation:
        return "queries_per_batch x group_size cannot be divided into `accumulation` equal parts"
    if not config.weight_policy and not stage.weight_contrastive:
        return "weight_policy and weight_contrastive are 0: set one of them above 0"
    if (stage.negatives_per_query or config.pool == "index") and not data.pool:
        return "negatives_per_query and an index need a source of kind beir, to draw them from"
    for reward in config.rewards:
        find_reward(reward.name)
    return ""


def _thinking_problem(stage: StageConfig, data: TrainingData) -> str:
    """What fails late, or has no effect, in stage 2 alone."""
    if not stage.needs_pairs:
        return (
            "stage reason needs weight_contrastive or weight_triplet above 0; the next-token loss "
            "alone is for stage represent, from rationales"
        )
    counts = Counter(pair.query_id for pair in data.pairs)
    twice = [query_id for query_id, count in counts.items() if count > 1]
    if twice:
        return f"{len(twice)} query ids come twice, {twice[0]} for one: make them different"
    own = max(stage.share_own_start, stage.share_own_end)
    resampled = stage.own_every or stage.own_folds
    if stage.share_none + own > 1 + ROUNDING:
        return "share_none and share_own_start or share_own_end add up to more than 1"
    if own and not resampled:
        return "own thoughts (share_own_start, share_own_end) need own_every or own_folds above 0"
    if resampled and not own:
        return (
            "own_every and own_folds have no effect: set share_own_start or share_own_end above 0"
        )
    if stage.own_folds == 1:
        return "own_folds is 1, which leaves no other fold to teach from: set it to 2 or more"
    if not data.pairs or any(pair.thought for pair in data.pairs):
        return ""
    return _unreferenced_problem(stage, data)


def _unreferenced_problem(stage: StageConfig, data: TrainingData) -> str:
    """What a stage without any reference thought would need one for."""
    lacking = "no query of its sources has a reference thought (`thoughts`), "
    if stage.filter_gain or stage.own_folds:
        return f"{lacking}which filter_gain and own_folds need"
    if stage.share_none + min(stage.share_own_start, stage.share_own_end) < 1 - ROUNDING:
        return f"{lacking}but share_none and share_own leave a share of queries for one"
    if stage.weight_sft and not data.rationales:
        return f"{lacking}and there are no rationales: set weight_sft to 0"
    return ""
