"""Arguments of the trainers: the values of a stage under the names of transformers and trl."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from thought1.engines.training_precision import trains_in_bfloat16
from thought1.training.recipe import BaseStage, Recipe, ReinforceStage, SupervisedStage


def supervised_arguments(recipe: Recipe, stage: SupervisedStage, folder: Path) -> TrainingArguments:
    """Of stages 1 and 2, whose batches are planned."""
    return TrainingArguments(
        **_common(recipe, stage, folder),
        per_device_train_batch_size=1,
        num_train_epochs=1,
        # The plan is shuffled already, batch by batch.
        train_sampling_strategy="sequential",
    )


def grpo_values(recipe: Recipe, stage: ReinforceStage, folder: Path) -> dict[str, Any]:
    """Of stage 3, for `trl.GRPOConfig`. The sampler draws and repeats the questions."""
    config = stage.reinforce
    rollouts = stage.queries_per_batch * config.group_size
    return _common(recipe, stage, folder) | {
        "per_device_train_batch_size": rollouts // stage.accumulation,
        "steps_per_generation": stage.accumulation,
        "num_train_epochs": 1,  # the order of the questions holds them all
        "shuffle_dataset": False,
        "max_steps": stage.max_steps,
        "num_generations": config.group_size,
        "num_iterations": config.iterations,
        "max_completion_length": stage.max_thought_tokens + 1,
        "temperature": config.sampling_temperature,
        "loss_type": config.loss,
        "epsilon": config.clip_low,
        "epsilon_high": config.clip_high,
        "beta": 0.0,  # the adapter holds the reference model
        "gradient_checkpointing": False,  # enabled earlier, if the stage requires it
        "disable_dropout": False,  # it is off already
        "use_cache": True,  # the trainer writes it into the model's config, which is saved
    }


def _common(recipe: Recipe, stage: BaseStage, folder: Path) -> dict[str, Any]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "output_dir": str(folder),
        "gradient_accumulation_steps": stage.accumulation,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": stage.warmup_ratio,  # below 1: a share of all steps
        "weight_decay": stage.weight_decay,
        "max_grad_norm": stage.max_grad_norm,
        "bf16": trains_in_bfloat16(device) if stage.bf16 == "auto" else stage.bf16,
        "use_cpu": device == "cpu",
        "seed": recipe.seed,
        "logging_steps": stage.log_steps,
        "save_strategy": "no",  # SaveByClock decides
        "save_total_limit": 2,
        "report_to": ["tensorboard"],
        "remove_unused_columns": False,
        "dataloader_pin_memory": False,
        # Queries and documents go through the same weights: none is ever unused.
        "ddp_find_unused_parameters": False,
        # Buffers never change. Sent at every forward pass, they would block processes of which one
        # has pairs (two passes, or many chunks) and the other single texts (one).
        "ddp_broadcast_buffers": False,
    }
