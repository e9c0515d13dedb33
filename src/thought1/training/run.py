"""`t1 train`: a recipe's stages one after the other, each resumed where it was interrupted.

    t1 train recipes/nano-cpu.toml data=FOLDER output=runs/mine seed=1
    torchrun --nproc-per-node 2 -m thought1.cli train recipes/nano-cpu.toml

It connects files, teacher, model and trainer; the losses are in `represent`.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainingArguments, set_seed

from thought1 import __version__
from thought1.checkpoint import Checkpoint, hash_weights, load_checkpoint, save_checkpoint
from thought1.config import Recipe, Role, StageConfig
from thought1.prompts import Template
from thought1.t1 import T1
from thought1.training.batches import Collator, Rows, Text, known_answers, plan_stage
from thought1.training.callbacks import JsonLog, SaveByClock, Validate, last_checkpoint
from thought1.training.preflight import check_devices, claim, read_stage
from thought1.training.represent import Embedder, RepresentTrainer
from thought1.training.sources import TrainingData
from thought1.training.start import locate, start_checkpoint, switch_dropout_off
from thought1.training.teacher import TeacherVectors, mine_negatives, teach
from thought1.training.validation import Validation

logger = logging.getLogger(__name__)


def train(recipe: Recipe) -> Path:
    """Run every stage that is not finished yet; returns the folder of the final checkpoint.

    Under `torchrun` each process takes its share of the batches: gradients are averaged, in-batch
    negatives stay within a process.

    Raises:
        Thought1Error: missing or broken input, a stage without a loss, a folder that cannot be
            written, or `output` holds the run of another recipe.
    """
    process = PartialState(cpu=not torch.cuda.is_available())
    check_devices(process.num_processes)
    output = Path(recipe.output)
    if process.is_main_process:
        claim(output, recipe)
    process.wait_for_everyone()
    folders = [output / f"{number}-{stage.name}" for number, stage in enumerate(recipe.stages, 1)]
    # Everything is read before the first step: a mistake in the last stage shows at once.
    loaded = {
        folder: read_stage(recipe, stage)
        for stage, folder in zip(recipe.stages, folders, strict=True)
        if not (folder / "model").is_dir()
    }
    validation = _validation(recipe) if loaded else None
    for stage, folder in zip(recipe.stages, folders, strict=True):
        if folder in loaded:
            with process.main_process_first():
                # Kept on disk: the stage reads them again when its turn comes.
                _teacher_vectors(recipe, stage, loaded[folder])
    previous: Path | None = None
    for stage, folder in zip(recipe.stages, folders, strict=True):
        if folder in loaded:
            _run_stage(recipe, stage, loaded.pop(folder), folder, previous, validation)
        process.wait_for_everyone()
        previous = folder / "model"
    assert previous is not None
    if not recipe.release:
        return previous
    if process.is_main_process:
        checkpoint = load_checkpoint(previous, dtype="float32", device="cpu")
        save_checkpoint(checkpoint, Path(recipe.release), dtype=recipe.release_dtype)
    return Path(recipe.release)


def _validation(recipe: Recipe) -> Validation | None:
    if recipe.validation is None:
        return None
    return Validation.load(recipe.validation, Path(recipe.data), Path(recipe.folder))


def _run_stage(
    recipe: Recipe,
    stage: StageConfig,
    data: TrainingData,
    folder: Path,
    previous: Path | None,
    validation: Validation | None,
) -> None:
    set_seed(recipe.seed)
    process = PartialState()
    with process.main_process_first():
        checkpoint = _start(recipe, data, previous)
        model = T1(checkpoint)
        teacher = _teacher_vectors(recipe, stage, data)
        resume = last_checkpoint(folder)
    rows = tokenize(model, data, teacher)
    negatives = _negatives(stage, data, rows) if stage.negatives_per_query else None
    plan = plan_stage(data, rows, stage, recipe.seed, negatives, process.num_processes)
    log = JsonLog(folder / "log.jsonl")
    callbacks: list[TrainerCallback] = [SaveByClock(stage.save_minutes), log]
    check = Validate(lambda: validation.score(model), stage.eval_steps, log) if validation else None
    trainer = RepresentTrainer(
        stage=stage,
        model=Embedder(checkpoint.model),
        args=_arguments(recipe, stage, folder),
        train_dataset=plan,
        data_collator=Collator(rows),
        callbacks=[*callbacks, check] if check else callbacks,
    )
    logger.info("stage %s: %d batches, from %s", stage.name, len(plan), resume or "the start")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if process.is_main_process:
        entry = _lineage(recipe, stage, data, trainer.state.global_step, check)
        settings = checkpoint.settings
        settings = replace(settings, lineage=(*settings.lineage, entry))
        # A rename, so that a stage is either finished or not, whenever it is interrupted.
        save_checkpoint(replace(checkpoint, settings=settings), folder / "unfinished")
        (folder / "unfinished").replace(folder / "model")


def _start(recipe: Recipe, data: TrainingData, previous: Path | None) -> Checkpoint:
    if previous is None:
        checkpoint = start_checkpoint(recipe.model, _texts(data))
    else:
        checkpoint = load_checkpoint(previous, dtype="float32", device="cpu")
    switch_dropout_off(checkpoint.model)
    return checkpoint


def _texts(data: TrainingData) -> Iterable[str]:
    yield from (text for _, text in data.texts)
    yield from data.pool
    for pair in data.pairs:
        yield pair.query
        yield from pair.positives


def _teacher_vectors(recipe: Recipe, stage: StageConfig, data: TrainingData) -> TeacherVectors:
    if not stage.needs_teacher:
        return {}
    return teach(Path(locate(stage.teacher or recipe.teacher)), _texts(data), Path(recipe.output))


def tokenize(model: T1, data: TrainingData, teacher: TeacherVectors) -> Rows:
    """Every text's ids in its role, as the model will read it later, `<emb_token>` included."""
    queries = [text for role, text in data.texts if role == "query"]
    documents = [text for role, text in data.texts if role == "document"]
    queries += [pair.query for pair in data.pairs]
    documents += [text for pair in data.pairs for text in pair.positives] + data.pool
    settings = model.settings
    sides: tuple[tuple[Role, list[str], Template, int], ...] = (
        ("query", queries, settings.query, settings.max_query_tokens),
        # The length of a document includes <emb_token>, that of a query prompt does not.
        ("document", documents, settings.document, settings.max_document_tokens - 1),
    )
    ids: dict[Text, list[int]] = {}
    for role, found, template, limit in sides:
        texts = list(dict.fromkeys(found))
        rendered = model.renderer.render(template, texts, limit)
        for text, row in zip(texts, rendered.rows, strict=True):
            ids[role, text] = [*rendered.prefix, *row, model.checkpoint.emb_id]
    return Rows(ids, teacher, known_answers(data.pairs))


def _negatives(stage: StageConfig, data: TrainingData, rows: Rows) -> dict[str, list[str]]:
    queries = {pair.query_id: pair.query for pair in data.pairs}
    return mine_negatives(queries, rows.answers, data.pool, rows.teacher, stage.negative_depth)


def _arguments(recipe: Recipe, stage: StageConfig, folder: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=stage.accumulation,
        num_train_epochs=1,
        learning_rate=stage.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=stage.warmup_ratio,  # below 1: a share of all steps
        weight_decay=stage.weight_decay,
        max_grad_norm=stage.max_grad_norm,
        bf16=stage.bf16,
        use_cpu=not torch.cuda.is_available(),
        seed=recipe.seed,
        logging_steps=stage.log_steps,
        save_strategy="no",  # SaveByClock asks
        save_total_limit=2,
        report_to=["tensorboard"],
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        # The plan is shuffled already, batch by batch.
        train_sampling_strategy="sequential",
        # Queries and documents go through the same weights: none is ever unused.
        ddp_find_unused_parameters=False,
    )


def _lineage(
    recipe: Recipe, stage: StageConfig, data: TrainingData, steps: int, check: Validate | None
) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "stage": stage.stage,
        "name": stage.name,
        "seed": recipe.seed,
        "steps": steps,
        "thought1": __version__,
        **_teacher_lineage(recipe, stage),
        "files": data.files,
        "validation": check.scores if check else {},
    }


def _teacher_lineage(recipe: Recipe, stage: StageConfig) -> dict[str, str]:
    if not stage.needs_teacher:
        return {"teacher": ""}
    name = stage.teacher or recipe.teacher
    folder = Path(locate(name))
    # A teacher from the hub is known by its name alone.
    weights = hash_weights(folder) if folder.is_dir() else ""
    return {"teacher": name, "teacher_weights": weights}
