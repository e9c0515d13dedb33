"""A checkpoint that is an adapter: low-rank updates (peft's format) of another model, its base.

Beside peft's two files lie `t1.json`, which names the base and the hash of its content, and the
tokenizer. A plain adapter of somebody's has neither; its own configuration names the base. It knows
folders, peft and models in memory, no training.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from thought1.data.hashing import hash_file
from thought1.loading import Loaded, check_pointers, load_model, loading_errors
from thought1.place import Place, find_model
from thought1.settings import Base, Settings
from thought1.types import Thought1Error
from thought1.untrained import add_emb_token, token_id
from thought1.weights import hash_weights

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_ADDED = ("peft_version", "auto_mapping")
"""Entries of a configuration that are no values of a method."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A base with an adapter in it."""

    loaded: Loaded
    adapter: Any
    """The `peft.PeftModel`; its updates are in the loaded model, beside the weights."""
    base: Base


def is_adapter(place: Place) -> bool:
    """Whether the folder holds an adapter."""
    return not place.gguf and (place.folder / CONFIG).is_file()


def hash_content(place: Place) -> str:
    """SHA-256 of a model's weights: of a GGUF file's bytes, or of all tensors of a folder."""
    return hash_file(place.file) if place.file else hash_weights(place.folder)


def load_adapter(
    place: Place, settings: Settings | None, dtype: torch.dtype, trust_remote_code: bool
) -> Adapted:
    """The base of an adapter, found and checked, with the adapter in it, not merged.

    Args:
        settings: of the adapter's `t1.json`, if it has one.

    Raises:
        Thought1Error: peft is not installed, or too old; the base is not there, or another one; the
            adapter is broken or does not fit its base.
    """
    label = place.name
    check_pointers(label, place.folder)
    config = _config(label, place.folder)
    named = settings.base if settings else None
    name = named.model if named else str(config.base_model_name_or_path or "")
    if not name:
        raise Thought1Error(f"{label} is an adapter that names no base (base_model_name_or_path)")
    base = _base(label, name, named)
    loaded = load_model(base, dtype, trust_remote_code)
    with loading_errors(f"the adapter {label} does not fit its base {name}", label):
        tokenizer = _tokenizer(place.folder, loaded, settings)
        adapter = _put_in(label, place.folder, loaded, config)
    fitted = Loaded(loaded.model, tokenizer, loaded.random_head)
    return Adapted(fitted, adapter, named or Base(base.name, hash_content(base)))


def save_adapter(adapter: Any, base: Base, folder: Path, dtype: torch.dtype | None) -> None:
    """Write peft's two files; the base is named by `base`.

    Args:
        adapter: a `peft.PeftModel`.
        dtype: of the stored updates; None keeps that in memory.
    """
    kept = {
        name: value.detach().to("cpu", dtype or value.dtype).contiguous()
        for name, value in _state(adapter).items()
    }
    save_file(kept, folder / WEIGHTS, {"format": "pt"})
    config = adapter.peft_config["default"]
    before = config.base_model_name_or_path, config.inference_mode
    config.base_model_name_or_path, config.inference_mode = base.model, True
    config.save_pretrained(str(folder))
    config.base_model_name_or_path, config.inference_mode = before


def _config(label: str, folder: Path) -> Any:
    try:
        from peft import PeftConfig
    except ImportError:
        raise Thought1Error(
            f'{label} is an adapter, which needs peft: pip install "thought1[adapters]"'
        ) from None
    with loading_errors(f"{label} has a broken {CONFIG}", label):
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config = PeftConfig.from_pretrained(str(folder))
        unknown = sorted({*content} - {*vars(config)} - {*_ADDED})
    if unknown:
        raise Thought1Error(
            f"{label} was made by a later version of peft (it says {', '.join(unknown)}): upgrade "
            "peft"
        )
    if not (folder / WEIGHTS).is_file():
        raise Thought1Error(f"{label} is an adapter without {WEIGHTS}")
    return config


def _base(label: str, name: str, named: Base | None) -> Place:
    try:
        base = find_model(name)
    except Thought1Error as error:
        raise Thought1Error(f"{label} is an adapter and needs its base: {error}") from None
    if named is not None and hash_content(base) != named.hash:
        raise Thought1Error(
            f"{label} is an adapter of another model than what lies at {name}: its weights have "
            "changed since"
        )
    return base


def _tokenizer(folder: Path, loaded: Loaded, settings: Settings | None) -> PreTrainedTokenizerBase:
    """The adapter's own where it has one; `<emb_token>` gets its rows in the base."""
    if not (folder / "tokenizer.json").is_file():
        return loaded.tokenizer
    own: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if settings is not None and settings.emb_token in own.get_vocab():
        if settings.emb_token not in loaded.tokenizer.get_vocab():
            add_emb_token(loaded.model, loaded.tokenizer, settings.emb_token)
        places = [token_id(one, settings.emb_token) for one in (own, loaded.tokenizer)]
        if places[0] != places[1]:
            raise ValueError(
                f"{settings.emb_token} is token {places[0]} in one, {places[1]} in the other"
            )
    return own


def _state(adapter: Any) -> Mapping[str, Tensor]:
    """The updates, under the names that they have in a file."""
    from peft import get_peft_model_state_dict

    state: Mapping[str, Tensor] = get_peft_model_state_dict(adapter, save_embedding_layers=False)
    return state


def _put_in(label: str, folder: Path, loaded: Loaded, config: Any) -> Any:
    from peft import get_peft_model, set_peft_model_state_dict

    config.inference_mode = False
    adapter: Any = get_peft_model(loaded.model, config)
    if not hasattr(adapter.base_model, "merge_and_unload"):
        raise Thought1Error(f"{label} is an adapter of a kind that cannot be merged")
    state = load_file(folder / WEIGHTS)
    result: Any = set_peft_model_state_dict(adapter, state)
    lacking = sorted({*_state(adapter)} - {*state})
    if lacking or result.unexpected_keys:
        raise ValueError(f"{[*lacking, *result.unexpected_keys][0]} is in one and not in the other")
    return adapter
