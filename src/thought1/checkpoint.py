"""A checkpoint on disk: an ordinary Hugging Face folder plus `t1.json`.

It loads and saves; it neither embeds nor generates.
"""

import hashlib
import logging
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from thought1.identity import Identity, document_side
from thought1.prompts import Renderer
from thought1.settings import Settings
from thought1.types import Thought1Error
from thought1.untrained import (
    add_emb_token,
    default_settings,
    default_templates,
    token_id,
    writes_date,
)

logger = logging.getLogger(__name__)

BUNDLED = "t1-nano"
MAX_SHARD = "15MB"


@dataclass
class Checkpoint:
    """A loaded model with everything that belongs to it."""

    name: str
    folder: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: Settings

    @property
    def emb_id(self) -> int:
        """Token id of `<emb_token>`."""
        return token_id(self.tokenizer, self.settings.emb_token)

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Every id that ends a text for this model."""
        ids: set[int] = set()
        for source in (self.model.config, self.model.generation_config, self.tokenizer):
            found = source.eos_token_id if source is not None else None
            ids.update(found if isinstance(found, list) else [] if found is None else [found])
        return frozenset(ids)

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 over the stored tensors, whatever shards they lie in."""
        return hash_weights(self.folder)

    @cached_property
    def templates_hash(self) -> str:
        """SHA-256 over the templates, lengths and tokenizer of both sides.

        As indexes of format 1 and the results of evaluations hold it; it follows the way in which
        the installed version of tokenizers writes a tokenizer.
        """
        digest = hashlib.sha256(self.settings.templates_hash.encode())
        # Truncation and padding are switches that any call sets anew, and no part of the file's
        # meaning here.
        tokenizer = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        digest.update(tokenizer.to_str().encode())
        return digest.hexdigest()

    @cached_property
    def identity(self) -> Identity:
        """What decides a document's vector, by name; nothing of how queries are asked."""
        return {"weights": self.weights_hash, **document_side(self.settings, self.tokenizer)}

    def identities(self, index_format: int, created: str) -> list[Identity]:
        """`identity` as an index of that format, made at that time (ISO 8601), holds it.

        In format 1, default templates were rendered at each loading, with that day's date where
        the chat template writes one. So they follow as they were around the day, too.
        """
        if index_format > 1:
            return [self.identity]
        found = [self]
        if writes_date(self.tokenizer) and Settings.load(self.folder) is None:
            day = datetime.fromisoformat(created).date()
            for days in (-1, 0, 1):  # `created` is in UTC, the date was a local one
                query, document = default_templates(self.tokenizer, day + timedelta(days))
                settings = replace(self.settings, query=query, document=document)
                found.append(replace(self, settings=settings))
        return [{"weights": self.weights_hash, "templates": one.templates_hash} for one in found]


def bundled_folder() -> Path:
    """The folder of t1-nano: inside the installed package, or in a checkout of the repository."""
    package = Path(__file__).parent
    for folder in (package / "models" / BUNDLED, package.parents[1] / "models" / BUNDLED):
        if (folder / "config.json").is_file():
            return folder
    raise Thought1Error(
        "this installation carries no model: name one (a folder or a hub id), or train one "
        "with `t1 train recipes/nano-cpu.toml`"
    )


def resolve(name: str | Path | None) -> tuple[str, Path]:
    """The name to remember, and the local folder, of a folder, a hub id, or the bundled model.

    Raises:
        Thought1Error: neither a folder nor a hub id that can be fetched.
    """
    if name is None or str(name) == BUNDLED:
        return BUNDLED, bundled_folder()
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise Thought1Error(f"{folder} holds no config.json: it is not a model folder")
        return str(folder.resolve()), folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
        raise Thought1Error(f"{name}: no such folder, and not a hub id (owner/name)")
    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
    try:
        return str(name), Path(snapshot_download(str(name), allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise Thought1Error(
            f"{name}: no such folder here, and the hub could not deliver it ({_reason(error)})"
        ) from None


def _reason(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def load_checkpoint(
    name: str | Path | None,
    *,
    dtype: str | torch.dtype | None = None,
    device: str | torch.device | None = None,
) -> Checkpoint:
    """Load model, tokenizer and settings; a plain language model becomes an untrained T1.

    Raises:
        Thought1Error: the folder cannot be loaded as a causal language model.
    """
    label, folder = resolve(name)
    target = _device(device)
    settings = Settings.load(folder)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, config=_decoder_config(folder), dtype=_dtype(dtype, target)
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if len(tokenizer) == len(tokenizer.added_tokens_decoder):  # made up from its class alone
            raise ValueError("it has no tokenizer (tokenizer.json is missing)")
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise Thought1Error(
            f"{label} cannot be loaded as a causal language model: {_reason(error)}"
        ) from None
    if settings is None:
        logger.warning("%s has no t1.json: default templates, untrained as a retriever", label)
        settings = default_settings(tokenizer, model.config.max_position_embeddings, label)
    if settings.emb_token not in tokenizer.get_vocab():
        add_emb_token(model, tokenizer, settings.emb_token)
    cast(nn.Module, model).to(target)
    return Checkpoint(label, folder, model.eval(), tokenizer, settings)


def _device(device: str | torch.device | None) -> torch.device:
    try:
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise Thought1Error(f"unknown device {device!r}: {_reason(error)}") from None
    if target.type == "cuda" and not torch.cuda.is_available():
        raise Thought1Error(f"no GPU is available for device {device!r}: use cpu")
    return target


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    if dtype is None:
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise Thought1Error(f"unknown dtype {dtype!r}: use float32, bfloat16 or float16")
    return found


def _decoder_config(folder: Path) -> PretrainedConfig:
    """The configuration, with encoders of the BERT family switched to run as decoders."""
    config: PretrainedConfig = AutoConfig.from_pretrained(folder)
    if config.model_type in ("bert", "electra"):
        config.is_decoder = True
    if config.model_type in ("roberta", "xlm-roberta", "camembert"):
        raise ValueError("RoBERTa counts positions from 2; take a BERT encoder or a decoder")
    return config


def hash_weights(folder: Path, modules: Sequence[str] = ()) -> str:
    """SHA-256 over name, type and bytes of every tensor in the folder's safetensors files.

    Args:
        modules: sub-folders whose tensors count too. Without tensors there the hash is the same.
    """
    where = {}
    for module in ("", *modules):
        for path in sorted((folder / module).glob("*.safetensors")):
            with safe_open(path, "pt") as file:
                keys = file.keys()
                where.update(dict.fromkeys([(module, key) for key in keys], path))
    if not where:
        raise Thought1Error(f"{folder} holds no safetensors weights")
    digest = hashlib.sha256()
    for (module, name), path in sorted(where.items()):
        with safe_open(path, "pt") as file:
            tensor = file.get_tensor(name)
        place = f"{module}/{name}" if module else name
        digest.update(f"{place} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_checkpoint(checkpoint: Checkpoint, folder: Path, *, dtype: str | None = None) -> None:
    """Write the checkpoint: whole beside the folder first, then moved into it.

    What cannot be written, or is interrupted before the move, leaves the folder as it was.

    Args:
        dtype: stored type of the weights, e.g. "float16"; None keeps the one in memory.

    Raises:
        Thought1Error: a template breaks inside a token.
    """
    renderer = Renderer(checkpoint.tokenizer)
    for template in (checkpoint.settings.query, checkpoint.settings.document):
        renderer.check(template)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".saving-", dir=folder.parent))
    try:
        _write(checkpoint, staging, dtype)
        folder.mkdir(exist_ok=True)
        written = list(staging.iterdir())
        for path in written:
            path.replace(folder / path.name)
        kept = {path.name for path in written}
        for stale in folder.glob("model*.safetensors*"):
            if stale.name not in kept:
                stale.unlink()
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(checkpoint: Checkpoint, folder: Path, dtype: str | None) -> None:
    model = checkpoint.model
    state = model.state_dict()
    kept = model.config.dtype
    if dtype is not None:
        stored = _dtype(dtype, model.device)
        # One conversion for each piece of memory: tied weights stay tied, and are written once.
        places = {k: (v.data_ptr(), v.shape) for k, v in state.items() if v.is_floating_point()}
        converted = {place: state[k].to(stored) for k, place in places.items()}
        state = {k: converted[places[k]] if k in places else v for k, v in state.items()}
    try:
        model.save_pretrained(folder, state_dict=state, max_shard_size=MAX_SHARD)
        if dtype is not None:  # save_pretrained notes the type in memory
            model.config.dtype = stored
            model.config.save_pretrained(folder)
    finally:
        model.config.dtype = kept
    checkpoint.tokenizer.save_pretrained(folder)
    checkpoint.settings.save(folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner may read
