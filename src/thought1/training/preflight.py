"""What is checked before the first step: the machine, the output folder, and every stage's data.

A mistake in the last stage must show at once, not when the stages before it have run for hours.
It knows recipes and files, no model and no trainer.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from thought1.data.outputs import local
from thought1.files.whole import write_whole
from thought1.rewards import find_reward
from thought1.training.data.sources import TrainingData, read_sources
from thought1.training.recipe import (
    ReasonStage,
    Recipe,
    ReinforceStage,
    RepresentStage,
    StageConfig,
    SupervisedStage,
)
from thought1.training.recipe.read import reread
from thought1.training.recipe.reason import ROUNDING
from thought1.training.validation import Validation
from thought1.types import Thought1Error


def check_devices(processes: int) -> None:
    """Refuse several GPUs in one process: the trainer would split single batches over them."""
    gpus = torch.cuda.device_count()
    if processes == 1 and gpus > 1:
        raise Thought1Error(
            f"{gpus} GPUs, but one process: start with torchrun --nproc-per-node {gpus} "
            "-m thought1.cli train ..., or set CUDA_VISIBLE_DEVICES to one of them"
        )


def claim(output: Path, recipe: Recipe) -> None:
    """Record in `output` which recipe runs there; another one must not continue its work.

    The location of the recipe and its `release` may change, and anything may as long as nothing
    has been saved, sampled thoughts included.

    Raises:
        Thought1Error: another recipe, or a folder that cannot be written.
    """
    where = output / "recipe.json"
    content = _lasting(recipe)
    for place in filter(None, (recipe.output, recipe.release)):
        local(place)
    try:
        output.mkdir(parents=True, exist_ok=True)
        if recipe.release:
            Path(recipe.release).mkdir(parents=True, exist_ok=True)
        saved = ("checkpoint-*", "model", "own-thoughts-*.jsonl")
        begun = any(any(output.glob(f"*/{name}")) for name in saved)
        if not (begun and where.is_file()):
            with write_whole(where) as stream:
                stream.write(f"{json.dumps(content, indent=2)}\n".encode())
        written = _lasting(reread({**asdict(recipe), **json.loads(where.read_text("utf-8"))}))
    except OSError as error:
        raise Thought1Error(f"output or release cannot be written: {error}") from None
    except ValueError as error:
        raise Thought1Error(f"{where} is broken ({error}): remove {output}") from None
    changed = [key for key in content if written[key] != content[key]]
    if changed:
        raise Thought1Error(
            f"{output} holds the run of another recipe (it differs in {', '.join(changed)}): "
            "choose another folder (output=FOLDER), or remove it"
        )


def _lasting(recipe: Recipe) -> dict[str, Any]:
    """What must not change when a run is resumed."""
    content: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    for key in ("release", "release_dtype", "folder", "trust_remote_code"):
        del content[key]
    return content


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
        queries = [*(pair.query for pair in data.pairs), *(one.query for one in data.rationales)]
        queries += [text for role, text in data.texts if role == "query"]
        trained = next((text for text in queries if text in held), None)
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


def read_stage(
    recipe: Recipe, stage: StageConfig, without: Callable[[str], bool] | None = None
) -> TrainingData:
    """What a stage trains on: pairs, or single texts where no term compares pairs.

    Args:
        without: of a question's text: whether it is left out.

    Raises:
        Thought1Error: broken or missing files (see `read_sources`), or data of which a part would
            have no effect.
    """
    data = read_sources(stage.sources, Path(recipe.data), Path(recipe.folder), recipe.seed)
    if without is not None:
        data.leave_out(without)
    if isinstance(stage, SupervisedStage) and not stage.needs_pairs:
        data.split_pairs()
    problem = _problem(stage, data)
    if problem:
        raise Thought1Error(f"stage {stage.name}: {problem}")
    return data


def _problem(stage: StageConfig, data: TrainingData) -> str:
    """What the stage's data leave without effect, or without what it needs; or ""."""
    if isinstance(stage, ReinforceStage):
        return _reinforce_problem(stage, data)
    if isinstance(stage, ReasonStage) and (problem := _thoughts_problem(stage, data)):
        return problem
    if not (data.pairs or data.texts or data.rationales or data.streams):
        return "its sources hold nothing to train on"
    if data.rationales and not stage.weight_language:
        weight = "weight_sft" if stage.thinks else "weight_lm"
        return f"sources of kind rationales need {weight} above 0: nothing else reads them"
    if stage.needs_pairs and not data.pairs:
        return "weight_contrastive and weight_triplet need pairs, and its sources hold none"
    if data.texts and not stage.distils and not stage.weight_language:
        ours = "weight_lm, weight_distill or weight_distill_similarity"
        return f"sources of kind texts need {'weight_sft' if stage.thinks else ours} above 0"
    if isinstance(stage, RepresentStage) and stage.weight_lm and not data.single:
        return (
            "weight_lm reads single texts: it needs a source of kind texts or rationales, or pairs "
            "that no term compares (weight_contrastive and weight_triplet of 0)"
        )
    if stage.negatives_per_query and not data.pool:
        return "negatives_per_query needs a source of kind beir, to draw them from"
    return ""


def _reinforce_problem(stage: ReinforceStage, data: TrainingData) -> str:
    if not data.pairs:
        return "stage reinforce needs pairs, and its sources hold none"
    if data.single:
        return "stage reinforce reads pairs only: remove sources of kind texts and rationales"
    if len(data.pairs) < stage.queries_per_batch * PartialState().num_processes:
        return f"queries_per_batch is above the {len(data.pairs)} questions there are"
    if (stage.negatives_per_query or stage.reinforce.pool == "index") and not data.pool:
        return "negatives_per_query and an index need a source of kind beir, to draw them from"
    for reward in stage.reinforce.rewards:
        find_reward(reward.name)
    return ""


def _thoughts_problem(stage: ReasonStage, data: TrainingData) -> str:
    counts = Counter(pair.query_id for pair in data.pairs)
    twice = [query_id for query_id, count in counts.items() if count > 1]
    if twice:
        return f"{len(twice)} query ids come twice, {twice[0]} for one: make them different"
    if not data.pairs or any(pair.thought for pair in data.pairs):
        return ""
    lacking = "no query of its sources has a reference thought (`thoughts`), "
    if stage.filter_gain or stage.sampled_folds:
        return f"{lacking}which filter_gain and sampled_folds need"
    if stage.share_none + min(stage.share_sampled_start, stage.share_sampled_end) < 1 - ROUNDING:
        return f"{lacking}but share_none and share_sampled_* leave a share of queries for one"
    if stage.weight_sft and not data.rationales:
        return f"{lacking}and there are no rationales: set weight_sft to 0"
    return ""
