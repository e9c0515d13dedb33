"""LoRA: low-rank updates of the linear layers instead of all weights (arXiv 2106.09685), by peft.

The row of `<emb_token>` in the embedding is trained as well, since it is new to the model; a tied
language head stays tied. It knows a checkpoint and a stage's values, no data.
"""

from collections.abc import Callable

from torch import nn
from transformers import PreTrainedModel

from thought1.checkpoint import Checkpoint
from thought1.training.recipe import Stage
from thought1.types import Thought1Error


def adapt(checkpoint: Checkpoint, stage: Stage) -> Callable[[], None]:
    """Adapters and checkpointing as the stage wants them; returns what merges the former.

    Raises:
        Thought1Error: peft is not installed.
    """
    merge = add_adapters(checkpoint, stage)
    if stage.gradient_checkpointing:
        checkpoint.model.activation_checkpointing_enable({"use_reentrant": False})
    return merge


def add_adapters(checkpoint: Checkpoint, stage: Stage) -> Callable[[], None]:
    """Put the adapters that the stage wants into the model, and freeze the rest.

    Returns:
        What merges them into the weights when the training is done; nothing happens without LoRA.

    Raises:
        Thought1Error: peft is not installed.
    """
    if not stage.lora_rank:
        return lambda: None
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
    adapted = get_peft_model(model, config)

    def merge() -> None:
        adapted.merge_and_unload()

    return merge


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
