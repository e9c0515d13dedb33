"""`t1 train`: a recipe's stages one after the other, each resumed where it was interrupted.

    t1 train recipes/nano-cpu.toml data=FOLDER output=runs/mine seed=1
    torchrun --nproc-per-node 2 -m thought1.cli train recipes/nano-cpu.toml

It connects files, teacher, model and trainer; the losses are in `represent`, `reason` and
`reinforce`.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from torch import nn
from transformers import set_seed

from thought1 import __version__
from thought1.model.checkpoint import Checkpoint
from thought1.model.checkpoint_loading import load_checkpoint
from thought1.model.checkpoint_saving import save_checkpoint
from thought1.model.place import locate
from thought1.t1 import T1
from thought1.training.callbacks import last_checkpoint
from thought1.training.cross_fit import Writer
from thought1.training.data.sources import TrainingData, TrainingPair
from thought1.training.model.adapters import merged
from thought1.training.model.base_model import (
    check_stages,
    check_teachers,
    choose_attention,
    start_checkpoint,
    switch_dropout_off,
    thought_settings,
)
from thought1.training.preflight import check_devices, check_validation, claim, read_stage
from thought1.training.recipe import (
    CompanionStage,
    Recipe,
    ReinforceStage,
    StageConfig,
    SupervisedStage,
)
from thought1.training.stage_runs import (
    StageRun,
    Trained,
    run_companion,
    run_reinforced,
    run_supervised,
)
from thought1.training.teacher import TeacherVectors, teach, teacher_weights
from thought1.training.validation import Validation

logger = logging.getLogger(__name__)

PATIENCE = timedelta(hours=12)
"""How long processes wait for the first, which alone encodes the teacher's texts, samples thoughts
and validates; torch gives up after 10 minutes on GPUs."""


def train(recipe: Recipe, *, without: Callable[[str], bool] | None = None) -> Path:
    """Run every stage that is not finished yet; returns the folder of the final checkpoint.

    Args:
        without: of a question's text: whether it is left out of the training data.

    Under `torchrun` each process takes its share of the batches: gradients are averaged, in-batch
    negatives stay within a process.

    Raises:
        Thought1Error: missing or broken input, a stage without a loss, a folder that cannot be
            written, or `output` holds the run of another recipe.
    """
    process = PartialState(cpu=not torch.cuda.is_available(), timeout=PATIENCE)
    check_devices(process.num_processes)
    output = Path(recipe.output)
    if process.is_main_process:
        claim(output, recipe)
    process.wait_for_everyone()
    folders = [output / f"{number}-{stage.name}" for number, stage in enumerate(recipe.stages, 1)]
    # Everything is read before the first step: a mistake in the last stage shows at once.
    loaded = {
        folder: read_stage(recipe, stage, without)
        for stage, folder in zip(recipe.stages, folders, strict=True)
        if not (folder / "model").is_dir()
    }
    validation = _validation(recipe, loaded.values()) if loaded else None
    teachers: dict[str, int] = {}
    for stage, folder in zip(recipe.stages, folders, strict=True):
        if folder in loaded:
            with process.main_process_first():
                # Kept on disk: the stage reads them again when its turn comes.
                vectors = _teacher_vectors(recipe, stage, loaded[folder])
            if vectors:
                teachers[stage.name] = len(next(iter(vectors.values())))
    begin = partial(_start, recipe, list(loaded.values()), teachers)
    for stage, folder in zip(recipe.stages, folders, strict=True):
        if folder in loaded:
            _run_stage(recipe, stage, loaded.pop(folder), folder, begin, validation)
        process.wait_for_everyone()
        begin = partial(_go_on, recipe, folder / "model")
    previous = folders[-1] / "model"
    if not recipe.release:
        return previous
    if process.is_main_process:
        checkpoint = _saved(recipe, previous)
        save_checkpoint(checkpoint, Path(recipe.release), dtype=recipe.release_dtype)
    return Path(recipe.release)


def _validation(recipe: Recipe, loaded: Iterable[TrainingData]) -> Validation | None:
    if recipe.validation is None:
        return None
    validation = Validation.load(recipe.validation, Path(recipe.data), Path(recipe.folder))
    check_validation(recipe, validation, loaded)
    return validation


def _run_stage(
    recipe: Recipe,
    stage: StageConfig,
    data: TrainingData,
    folder: Path,
    begin: Callable[[], Checkpoint],
    validation: Validation | None,
) -> None:
    set_seed(recipe.seed)
    process = PartialState()
    with process.main_process_first():
        checkpoint = begin()
        if stage.weight_language > 0:  # from here on the head is no longer at random
            checkpoint = replace(checkpoint, random_head=frozenset())
        cast(nn.Module, checkpoint.model).to(process.device)
        switch_dropout_off(checkpoint.model)
        choose_attention(checkpoint.model)
        model = T1(checkpoint)
        teacher = _teacher_vectors(recipe, stage, data)
        resume = last_checkpoint(folder)
    given = StageRun(recipe, model, data, folder, validation, resume)
    if isinstance(stage, ReinforceStage):
        trained = run_reinforced(given, stage)
    elif isinstance(stage, CompanionStage):
        trained = run_companion(given, stage, teacher, _writer(recipe, stage, folder))
    else:
        trained = run_supervised(given, stage, teacher)
    checkpoint = trained.checkpoint if recipe.adapter else merged(trained.checkpoint)
    if process.is_main_process:
        entry = _lineage(recipe, stage, data, trained) | trained.notes
        settings = checkpoint.settings
        settings = replace(settings, lineage=(*settings.lineage, entry))
        # A rename, so that a stage is either finished or not, whenever it is interrupted.
        save_checkpoint(replace(checkpoint, settings=settings), folder / "unfinished")
        (folder / "unfinished").replace(folder / "model")


def _writer(recipe: Recipe, stage: CompanionStage, folder: Path) -> Writer:
    """Language models as the stages before make them, without the questions of a fold."""
    place = next(i for i, one in enumerate(recipe.stages) if one is stage)
    before = tuple(s for s in recipe.stages[:place] if not isinstance(s, CompanionStage))

    def write(number: int, about: Sequence[TrainingPair], _rest: Sequence[TrainingPair]) -> T1:
        held = {pair.query for pair in about}
        output = str(folder / f"fold-{number + 1}")
        fold = replace(recipe, stages=before, output=output, release="", validation=None)
        return T1(_saved(fold, train(fold, without=held.__contains__)))

    return write


def _start(
    recipe: Recipe, stages: Sequence[TrainingData], teachers: Mapping[str, int]
) -> Checkpoint:
    """The checkpoint before the first stage; a new vocabulary knows the texts of all stages.

    `teachers`: stage -> dimension of its teacher's vectors.
    """
    texts = _texts(stages[0])
    if recipe.model.scratch is not None:
        texts = chain(*map(_texts, stages), *map(_thoughts, stages))
    checkpoint = start_checkpoint(
        recipe.model,
        texts,
        adapter=recipe.adapter,
        trust_remote_code=recipe.trust_remote_code,
    )
    check_stages(checkpoint, recipe.stages)
    check_teachers(checkpoint, recipe.stages, teachers)
    return checkpoint


def _go_on(recipe: Recipe, previous: Path) -> Checkpoint:
    checkpoint = _saved(recipe, previous)
    settings = replace(checkpoint.settings, thought=thought_settings(recipe.model))
    return replace(checkpoint, settings=settings)


def _saved(recipe: Recipe, folder: Path) -> Checkpoint:
    trust = recipe.trust_remote_code
    return load_checkpoint(
        folder, dtype="float32", device="cpu", trust_remote_code=trust, merge=not recipe.adapter
    )


def _thoughts(data: TrainingData) -> Iterable[str]:
    for rationale in data.rationales:
        yield rationale.query
        yield rationale.thought
        yield from rationale.evidence
    for pair in data.pairs:
        yield pair.thought
        yield from pair.evidence


def _texts(data: TrainingData) -> Iterable[str]:
    yield from (text for _, text in data.texts)
    yield from data.pool
    for pair in data.pairs:
        yield pair.query
        yield from pair.positives


def _teacher_vectors(recipe: Recipe, stage: StageConfig, data: TrainingData) -> TeacherVectors:
    if not isinstance(stage, SupervisedStage) or not stage.needs_teacher:
        return {}
    teacher, trust = Path(locate(stage.teacher or recipe.teacher)), recipe.trust_remote_code
    return teach(teacher, _texts(data), Path(recipe.output), trust_remote_code=trust)


def _lineage(
    recipe: Recipe, stage: StageConfig, data: TrainingData, trained: Trained
) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "stage": stage.stage,
        "name": stage.name,
        "seed": recipe.seed,
        "steps": trained.steps,
        "thought1": __version__,
        **_teacher_lineage(recipe, stage),
        "files": data.files,
        "validation": trained.scores,
    }


def _teacher_lineage(recipe: Recipe, stage: StageConfig) -> dict[str, str]:
    if not isinstance(stage, SupervisedStage) or not stage.needs_teacher:
        return {"teacher": ""}
    name = stage.teacher or recipe.teacher
    return {"teacher": name, "teacher_weights": teacher_weights(Path(locate(name)))}
