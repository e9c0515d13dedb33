"""The companion in training: its weights or updates of them, and the model that comes out.

It knows sentence-transformers models and folders, no batches.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import torch

from thought1.model.checkpoint import Checkpoint
from thought1.model.sentence_adapter import add_updates, save_updates, transformer
from thought1.model.sentence_model import SentenceModel
from thought1.model.settings import OWN_COMPANION, Base, Companion
from thought1.training.model.base_model import switch_dropout_off
from thought1.training.recipe import CompanionStage
from thought1.types import Thought1Error


def trainable(companion: SentenceModel, stage: CompanionStage) -> SentenceModel:
    """The companion, loaded again to be trained as the stage wants it.

    Raises:
        Thought1Error: peft is not installed; or it has updates of another rank already.
    """
    found = SentenceModel.load(
        companion.called, device=str(companion.model.device), merge=not stage.lora_rank
    )
    network = found.model
    switch_dropout_off(network)
    pooler = getattr(transformer(network), "pooler", None)
    if pooler is not None:  # vectors come from the tokens' states
        pooler.requires_grad_(False)
    if not stage.lora_rank:
        return found
    if found.adapter is None:
        found.base = Base(found.called, found.hash)
        found.adapter = add_updates(network, stage.lora_rank, stage.lora_alpha)
        return found
    config = found.adapter.peft_config["default"]
    if (config.r, config.lora_alpha) != (stage.lora_rank, stage.lora_alpha):
        raise Thought1Error(
            f"stage {stage.name}: lora_rank and lora_alpha must be those of the updates that the "
            f"companion has, {config.r} and {config.lora_alpha}; or lora_rank 0 trains all weights"
        )
    return found


def with_trained(
    checkpoint: Checkpoint, trained: SentenceModel, share: float, folder: Path, dtype: str
) -> Checkpoint:
    """The checkpoint with what has been trained as its own companion.

    Args:
        share: how much of the change is kept.
        folder: where the companion is written.
        dtype: of its updates.
    """
    assert checkpoint.companion is not None
    _keep(share, trained, checkpoint.companion)
    shutil.rmtree(folder, ignore_errors=True)
    if trained.adapter is None:
        trained.model.save(str(folder), create_model_card=False)
    else:
        assert trained.base is not None
        save_updates(trained.adapter, trained.base, folder, getattr(torch, dtype))
    # What is stored counts, rounded as it is.
    stored = SentenceModel.load(str(folder), device=str(trained.model.device))
    settings = replace(checkpoint.settings, companion=Companion(OWN_COMPANION, stored.hash))
    return replace(checkpoint, settings=settings, companion=stored)


@torch.no_grad()
def _keep(share: float, trained: SentenceModel, before: SentenceModel) -> None:
    old = {} if trained.adapter else dict(before.model.named_parameters())
    for name, weight in trained.model.named_parameters() if share < 1 else ():
        if name in old:
            weight.lerp_(old[name], 1 - share)
        elif "lora_B" in name:  # an update is the product of two matrices
            weight.mul_(share)
