"""LoRA: low-rank updates of the linear layers instead of all weights (arXiv 2106.09685), by peft.

The row of `<emb_token>` in the embedding is trained as well, since it is new to the model; a tied
language head stays tied. It knows a checkpoint and a stage's values, no data.
"""

import copy
import warnings
from dataclasses import replace

from torch import nn
from transformers import PreTrainedModel

from thought1.model.checkpoint import Checkpoint
from thought1.training.recipe import BaseStage
from thought1.types import Thought1Error


def adapt(checkpoint: Checkpoint, stage: BaseStage) -> Checkpoint:
    """The checkpoint with adapters and checkpointing as the stage wants them.

    Raises:
        Thought1Error: peft is not installed, or the checkpoint has adapters of another rank.
    """
    adapted = add_adapters(checkpoint, stage)
    if stage.gradient_checkpointing:
        checkpoint.model.activation_checkpointing_enable({"use_reentrant": False})
    return adapted


def copied(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with a copy of its weights, and of its adapters, if it has them."""
    if checkpoint.adapter is None:
        return replace(checkpoint, model=copy.deepcopy(checkpoint.model))
    adapter = copy.deepcopy(checkpoint.adapter)
    return replace(checkpoint, model=adapter.get_base_model(), adapter=adapter)


def merged(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its adapters in the weights; without adapters, as it is."""
    if checkpoint.adapter is None:
        return checkpoint
    checkpoint.adapter.merge_and_unload()
    return replace(checkpoint, adapter=None)


def add_adapters(checkpoint: Checkpoint, stage: BaseStage) -> Checkpoint:
    """Put the adapters that the stage wants into the model, and freeze the rest.

    Those of an earlier stage continue to be trained. Nothing happens without LoRA.

    Raises:
        Thought1Error: peft is not installed, or the checkpoint has adapters of another rank.
    """
    if checkpoint.adapter is not None:
        _go_on(checkpoint, stage)
        return checkpoint
    if not stage.lora_rank:
        return checkpoint
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise Thought1Error('lora_rank needs peft: pip install "thought1[train]"') from None
    model = checkpoint.model
    config = LoraConfig(
        r=stage.lora_rank,
        lora_alpha=stage.lora_alpha,
        target_modules=_linear_names(model),
        trainable_token_indices={_embedding_name(model): [checkpoint.emb_id]},
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # peft calls transformers by a deprecated API
        adapter = get_peft_model(model, config)
    return replace(checkpoint, adapter=adapter)


def _go_on(checkpoint: Checkpoint, stage: BaseStage) -> None:
    config = checkpoint.adapter.peft_config["default"]
    if (config.r, config.lora_alpha) != (stage.lora_rank, stage.lora_alpha):
        raise Thought1Error(
            f"stage {stage.name}: lora_rank and lora_alpha must be those of the adapter that it "
            f"trains, {config.r} and {config.lora_alpha}"
        )


def _embedding_name(model: PreTrainedModel) -> str:
    embedding = model.get_input_embeddings()
    names: list[str] = [name for name, module in model.named_modules() if module is embedding]
    return names[0].rpartition(".")[2]


def _linear_names(model: PreTrainedModel) -> list[str]:
    """All linear layers of the backbone; the language head stays as it is."""
    backbone = {id(module) for module in model.base_model.modules()}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in backbone
    ]
