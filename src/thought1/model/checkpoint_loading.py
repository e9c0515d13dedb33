"""From a folder, a GGUF file or a hub id to a `Checkpoint`.

A checkpoint is an ordinary Hugging Face folder plus `t1.json`; without that file, a plain language
model becomes an untrained T1.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from jinja2 import TemplateError
from torch import nn

from thought1.engines.hf import max_positions
from thought1.model.adapt_lm import add_emb_token, default_settings
from thought1.model.adapter import Adapted, is_adapter, load_adapter
from thought1.model.checkpoint import Checkpoint
from thought1.model.devices import find_device, find_dtype
from thought1.model.inventory import default_model
from thought1.model.loading import Loaded, check_runs, load_model, loading_errors
from thought1.model.place import Place, find_model, reason
from thought1.model.projection import load_projection
from thought1.model.reader import find_companion
from thought1.model.settings import Settings
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)


def load_checkpoint(
    name: str | Path | None,
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
    trust_remote_code: bool = False,
    merge: bool = True,
) -> Checkpoint:
    """Load model, tokenizer and settings; a plain language model becomes an untrained T1.

    Args:
        name: as `find_model` takes it; None is `inventory.default_model`, which is logged.
        merge: merge the updates of an adapter into the weights; else they stay separate.
        trust_remote_code: run Python code from the folder, if the model needs it.

    Raises:
        Thought1Error: the folder cannot be loaded as a causal language model, not whole, or needs
            such code, which may not run.
    """
    if name is None:
        meant = default_model()
        logger.warning("%s", meant)
        name = meant.name
    place, target = find_model(name), find_device(device)
    label = place.name
    settings = None if place.gguf else Settings.load(place.folder)
    found = _weights(place, settings, find_dtype(dtype, target), trust_remote_code, merge)
    loaded = found.loaded
    model, tokenizer = loaded.model, loaded.tokenizer
    plain = settings is None
    if settings is None:
        logger.warning("%s has no t1.json: default templates, untrained as a retriever", label)
        settings = _default_settings(loaded, label)
    if settings.emb_token not in tokenizer.get_vocab():
        with loading_errors(f"{label} cannot be given {settings.emb_token}", label):
            add_emb_token(model, tokenizer, settings.emb_token)
    cast(nn.Module, model).to(target)
    companion = find_companion(settings, place, device=target, trust_remote_code=trust_remote_code)
    checkpoint = Checkpoint(
        place,
        model.eval(),
        tokenizer,
        replace(settings, adapter=None),  # what is saved holds its updates itself
        companion,
        found.base,
        found.adapter,
        random_head=loaded.random_head,
    )
    if companion is not None and settings.companion and settings.companion.reader == "projection":
        checkpoint.projection = load_projection(place, companion.dim, checkpoint.engine().dim)
    if plain:
        check_runs(label, checkpoint.engine(), tokenizer)
    return checkpoint


def _weights(
    place: Place,
    settings: Settings | None,
    dtype: torch.dtype,
    trust_remote_code: bool,
    merge: bool,
) -> Adapted:
    """The model's weights, those of an adapter with their base."""
    if not is_adapter(place):
        return Adapted(load_model(place, dtype, trust_remote_code))
    found = load_adapter(place, settings, dtype, trust_remote_code, resize=merge)
    if not merge:
        return found
    found.adapter.merge_and_unload()
    return replace(found, adapter=None)


def _default_settings(loaded: Loaded, label: str) -> Settings:
    try:
        return default_settings(loaded.tokenizer, max_positions(loaded.model.config), label)
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise Thought1Error(
            f"the chat template of {label} cannot be used ({reason(error)}): correct it, or remove "
            "it from the folder (chat_template.jinja, or tokenizer_config.json)"
        ) from error
