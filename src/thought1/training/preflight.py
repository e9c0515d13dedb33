"""What is checked before the first step: the machine, the output folder, and every stage's data.

A mistake in the last stage must show at once, not when the stages before it have run for hours.
It knows recipes and files, no model and no trainer.
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from thought1.config import Recipe, StageConfig
from thought1.training.sources import TrainingData, read_sources
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
    """Remember in `output` which recipe runs there; another one must not continue its work.

    Where the recipe lies and where it releases to may change, and everything may as long as
    nothing has been saved.

    Raises:
        Thought1Error: another recipe, or a folder that cannot be written.
    """
    where = output / "recipe.json"
    content = json.loads(json.dumps(asdict(recipe)))
    for key in ("release", "release_dtype", "folder"):
        del content[key]
    try:
        output.mkdir(parents=True, exist_ok=True)
        if recipe.release:
            Path(recipe.release).mkdir(parents=True, exist_ok=True)
        begun = any(output.glob("*/checkpoint-*")) or any(output.glob("*/model"))
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


def read_stage(recipe: Recipe, stage: StageConfig) -> TrainingData:
    """What a stage trains on: pairs, or single texts where no term compares pairs.

    Raises:
        Thought1Error: broken or missing files (see `read_sources`), or settings and data of which
            a part would have no effect.
    """
    data = read_sources(stage.sources, Path(recipe.data), Path(recipe.folder), recipe.seed)
    if not stage.needs_pairs:
        data.split_pairs()
    problem = _problem(recipe, stage, data)
    if problem:
        raise Thought1Error(f"stage {stage.name}: {problem}")
    return data


def _problem(recipe: Recipe, stage: StageConfig, data: TrainingData) -> str:
    """Why this stage cannot train, or ""."""
    if not stage.needs_pairs and not stage.distils:
        return "all weights are 0: set one of them above 0"
    if not data.pairs and not data.texts:
        return "its sources hold nothing to train on"
    if stage.needs_teacher and not (stage.teacher or recipe.teacher):
        return (
            "distillation, hard negatives and false_negative_margin need a teacher: set `teacher`"
        )
    if stage.needs_pairs and not data.pairs:
        return "weight_contrastive and weight_triplet need pairs, and its sources hold none"
    if data.texts and not stage.distils:
        return "sources of kind texts need weight_distill or weight_distill_similarity above 0"
    if not stage.needs_pairs and (stage.negatives_per_query or stage.false_negative_margin):
        return (
            "negatives_per_query and false_negative_margin need weight_contrastive or "
            "weight_triplet above 0"
        )
    if stage.negatives_per_query and not data.pool:
        return "negatives_per_query needs a source of kind beir, to draw them from"
    return ""
