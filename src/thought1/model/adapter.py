"""A checkpoint that is an adapter: low-rank updates (peft's format) of another model, its base.

Next to peft's two files are `t1.json`, which names the base and the hash of its content, and the
tokenizer. A plain adapter has neither; its configuration names the base. It knows
folders, peft and models in memory, no training.
"""

import importlib.util
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from thought1.data.hashing import hash_file, hash_json
from thought1.model.adapt_lm import add_emb_token, token_id
from thought1.model.dequantised import check_file
from thought1.model.loading import (
    Loaded,
    check_finite,
    check_pointers,
    check_vocabulary,
    load_model,
    loading_errors,
)
from thought1.model.packages import reinstall
from thought1.model.place import Place, find_model, reason
from thought1.model.settings import Base, Settings
from thought1.model.weights import hash_weights
from thought1.types import Thought1Error

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
FILES = (CONFIG, WEIGHTS)
_ADDED = ("peft_version", "auto_mapping")
"""Entries of a configuration that are not values of a method."""
_UNSET: tuple[Any, ...] = (None, False, "", [], {})
_COUNTING = (
    "alpha",
    "alpha_pattern",
    "layer_replication",
    "lora_alpha",
    "projection_prng_key",
    "random_loc_seed",
    "scaling",
    "trainable_token_indices",
    "use_rslora",
)
"""Entries that decide what the updates do, and that the tensors do not show."""
_CONVERT = (
    "import torch; from safetensors.torch import save_file; "
    "save_file({k: v.contiguous().clone() for k, v in "
    "torch.load('adapter_model.bin', weights_only=True).items()}, "
    f"'{WEIGHTS}', {{'format': 'pt'}})"
)


@dataclass(frozen=True, slots=True)
class Adapted:
    """A loaded model, and the adapter in it, if there is one."""

    loaded: Loaded
    adapter: Any = None
    """The `peft.PeftModel`; its updates are in the loaded model, separate from the weights."""
    base: Base | None = None


def is_adapter(place: Place) -> bool:
    """Whether the folder holds an adapter."""
    return not place.gguf and (place.folder / CONFIG).is_file()


def hash_content(place: Place) -> str:
    """SHA-256 of a GGUF file's bytes, of all tensors of a folder, or of those of an adapter and how
    they count; the base is not part of it."""
    if place.file:
        return hash_file(place.file)
    if not is_adapter(place):
        return hash_weights(place.folder)
    tensors = hash_weights(_updates_folder(place.name, place.folder))
    with loading_errors(f"{place.name} has a broken {CONFIG}", place.name):
        content = json.loads((place.folder / CONFIG).read_text(encoding="utf-8"))
        counting = {key: content.get(key) for key in _COUNTING}
    return hash_json([tensors, {k: v for k, v in counting.items() if v not in _UNSET}])


def load_adapter(
    place: Place,
    settings: Settings | None,
    dtype: torch.dtype,
    trust_remote_code: bool,
    *,
    resize: bool = True,
) -> Adapted:
    """The base of an adapter, found and checked, with the adapter in it, not merged.

    Args:
        settings: of the adapter's `t1.json`, if it has one.
        resize: an adapter may bring an embedding with more or fewer rows than its base has.

    Raises:
        Thought1Error: peft is not installed, or too old; the base is not there, or another one; the
            adapter is broken or does not fit its base.
    """
    label, folder = place.name, place.folder
    check_pointers(label, folder)
    config, state = read_adapter(label, folder)
    named = settings.base if settings else None
    name = named.model if named else str(config.base_model_name_or_path or "")
    if not name:
        raise Thought1Error(
            f"{label} is an adapter that names no base: write its folder, file or hub id into "
            f"{CONFIG}, as base_model_name_or_path"
        )
    base = _base(label, name, named)
    loaded = load_model(base, dtype, trust_remote_code)
    own = _own_tokenizer(label, folder)
    with loading_errors(f"the adapter {label} does not fit its base {name}", label):
        tokenizer = loaded.tokenizer if own is None else _fitted(own, loaded, settings)
        _resize(label, loaded, state, allowed=resize)
        check_vocabulary(label, loaded.model, tokenizer)
        adapter = put_in(label, state, loaded.model, config)
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


def read_adapter(label: str, folder: Path) -> tuple[Any, dict[str, Tensor]]:
    """The configuration (a `peft.PeftConfig`) and the updates, whole and finite.

    Raises:
        Thought1Error: peft is not installed, or too old; one of the two files is missing or broken;
            or the updates are another checkpoint's, which is not there or has changed.
    """
    stored = _updates_folder(label, folder)
    _check_stored(label, stored)
    return _config(label, folder), _updates(label, stored)


def _updates_folder(label: str, folder: Path) -> Path:
    """The adapter's own folder, or that of the checkpoint whose updates it uses."""
    settings = Settings.load(folder)
    lender = settings.adapter if settings else None
    if lender is None:
        return folder
    try:
        place = find_model(lender.model)
        if hash_weights(place.folder) == lender.hash:
            return place.folder
    except Thought1Error as error:
        raise Thought1Error(
            f"{label} uses the updates of {lender.model}, as its t1.json (adapter) says: {error}"
        ) from None
    raise Thought1Error(
        f"{label} uses the updates of {lender.model}, which have changed since: take the version "
        f"whose hash begins with {lender.hash[:12]}"
    )


def _config(label: str, folder: Path) -> Any:
    try:
        from peft import PeftConfig, __version__
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
    except ImportError as error:
        if importlib.util.find_spec("peft") is None:
            raise Thought1Error(
                f'{label} is an adapter, which needs peft: pip install "thought1[adapters]"'
            ) from None
        raise Thought1Error(
            f"{label} is an adapter, and the installed peft cannot be used ({reason(error)}): "
            'pip install --upgrade "thought1[adapters]"'
        ) from error
    with loading_errors(f"{label} has a broken {CONFIG}", label):
        content = dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        kind = content.get("peft_type")
        if kind not in PEFT_TYPE_TO_CONFIG_MAPPING:
            raise Thought1Error(
                f"{label} is an adapter of the kind {kind!r} (peft_type), which the installed peft "
                f"{__version__} does not know: upgrade peft, or correct {CONFIG}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of entries that it does not know; they are reported here
            config = PeftConfig.from_pretrained(str(folder))
    known = {*vars(config), *_ADDED}
    unknown = sorted(k for k, v in content.items() if k not in known and v not in _UNSET)
    if unknown:
        raise Thought1Error(
            f"{label} was made by a later version of peft (it says {', '.join(unknown)}): upgrade "
            "peft"
        )
    return config


def _check_stored(label: str, folder: Path) -> None:
    if (folder / WEIGHTS).is_file():
        return
    if (folder / "adapter_model.bin").is_file():
        raise Thought1Error(
            f"{label} holds its updates as adapter_model.bin, and Thought 1 reads safetensors: "
            f'convert them in that folder with python -c "{_CONVERT}"'
        )
    raise Thought1Error(
        f"{label} is an adapter without {WEIGHTS}: take a whole one, or delete {CONFIG} if the "
        "updates are merged into the weights already"
    )


def _updates(label: str, folder: Path) -> dict[str, Tensor]:
    """The stored updates, whole and finite."""
    with loading_errors(f"{label} has a broken {WEIGHTS} (truncated? fetch it again)", label):
        state: dict[str, Tensor] = load_file(folder / WEIGHTS)
    check_finite(label, state.items())
    return state


def _base(label: str, name: str, named: Base | None) -> Place:
    try:
        base = find_model(name)
    except Thought1Error as error:
        where = "t1.json (base)" if named else f"{CONFIG} (base_model_name_or_path)"
        raise Thought1Error(
            f"{label} is an adapter and needs its base: {error}; if it is elsewhere, say where "
            f"in its {where}"
        ) from None
    if named is not None and hash_content(base) != named.hash:
        if base.file:
            check_file(base.name, base.file)  # which distinguishes a broken file from another one
        raise Thought1Error(
            f"{label} is an adapter of another model than the one at {name}: its weights have "
            f"changed since: take the version whose hash begins with {named.hash[:12]}"
            f"{reinstall(name)}"
        )
    return base


def _own_tokenizer(label: str, folder: Path) -> PreTrainedTokenizerBase | None:
    if not (folder / "tokenizer.json").is_file():
        return None
    with loading_errors(f"{label} has a broken tokenizer", label):
        own: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False
        )
    return own


def _fitted(
    own: PreTrainedTokenizerBase, loaded: Loaded, settings: Settings | None
) -> PreTrainedTokenizerBase:
    """The adapter's own tokenizer; `<emb_token>` gets its rows in the base."""
    if settings is not None and settings.emb_token in own.get_vocab():
        if settings.emb_token not in loaded.tokenizer.get_vocab():
            add_emb_token(loaded.model, loaded.tokenizer, settings.emb_token)
        places = [token_id(one, settings.emb_token) for one in (own, loaded.tokenizer)]
        if places[0] != places[1]:
            raise ValueError(
                f"{settings.emb_token} is token {places[0]} in one, {places[1]} in the other"
            )
    return own


def _resize(label: str, loaded: Loaded, state: Mapping[str, Tensor], *, allowed: bool) -> None:
    """As many rows as the adapter's embedding has: peft stores one where tokens were added."""
    embedding = loaded.model.get_input_embeddings()
    name = next(name for name, module in loaded.model.named_modules() if module is embedding)
    stored = state.get(f"base_model.model.{name}.weight")
    rows = len(embedding.weight)  # type: ignore[arg-type]
    if stored is None or len(stored) == rows:
        return
    if not allowed:
        raise Thought1Error(
            f"{label} brings an embedding of {len(stored)} rows, its base has {rows}: it cannot be "
            "trained on as an adapter; save it whole first (T1.save_pretrained)"
        )
    loaded.model.resize_token_embeddings(len(stored), mean_resizing=False)


def _state(adapter: Any) -> Mapping[str, Tensor]:
    """The updates, under the names that they have in a file."""
    from peft import get_peft_model_state_dict

    state: Mapping[str, Tensor] = get_peft_model_state_dict(adapter, save_embedding_layers=False)
    return state


def put_in(label: str, state: dict[str, Tensor], model: Any, config: Any) -> Any:
    """A `peft.PeftModel` whose updates are in `model`, separate from the weights.

    Raises:
        Thought1Error: they are of a kind that cannot be merged.
        ValueError: they do not fit the model.
    """
    from peft import get_peft_model, set_peft_model_state_dict

    config.inference_mode = False
    # The base was found, and known by its content; peft would warn of another name for it.
    config.base_model_name_or_path = model.name_or_path
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # peft calls a deprecated API of transformers
        adapter: Any = get_peft_model(model, config)
    if not hasattr(adapter.base_model, "merge_and_unload"):
        raise Thought1Error(
            f"{label} is an adapter of a kind that cannot be merged into weights "
            f"({config.peft_type.value}): use LoRA or a related method"
        )
    wanted = _state(adapter)
    for name, tensor in wanted.items():
        if name in state and state[name].shape != tensor.shape:
            raise ValueError(
                f"{name} is stored with shape {tuple(state[name].shape)}, and the base expects "
                f"{tuple(tensor.shape)}"
            )
    result: Any = set_peft_model_state_dict(adapter, state)
    strange = sorted({*wanted} - {*state}) + result.unexpected_keys
    if strange:
        raise ValueError(f"{strange[0]} is in one and not in the other")
    return adapter
