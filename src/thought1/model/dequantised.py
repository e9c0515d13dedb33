"""From a GGUF file to a model and its tokenizer in memory, dequantised, whole, or else refused.

transformers reads the file (it needs the package gguf). What comes out is an ordinary model: it
trains, and is saved as safetensors. Reading takes much longer than loading what was read, so that
is kept (`model_cache`), and taken from there only where it comes out the same to the last bit.
"""

import hashlib
import importlib.util
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from thought1.data.hashing import hash_file, hash_json
from thought1.engines.hf import max_positions
from thought1.model import model_cache
from thought1.model.gguf_file import check_gguf
from thought1.model.weights import add_tensor
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)

FORMAT = 1
"""Of what is kept: raise it when this module makes something else of a file."""
_SHARD = "200MB"
_COMPACT = (torch.bfloat16, torch.float16)
_REPEATED = ("GGUFReader", "get_tensor_name_map")
_PARSING = Lock()
_NAMES_ONLY = ("_name_or_path", "architectures")
"""Entries of a configuration that saving writes; the second is the model's class."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What loading gives."""

    model: Any
    info: dict[str, Any]
    """What transformers says about it."""
    tokenizer: Any

    @property
    def whole(self) -> bool:
        return not self.info["missing_keys"] and not self.info["mismatched_keys"]


def load_gguf(label: str, path: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any], Any]:
    """The model, what transformers says about loading it, and the tokenizer.

    Raises:
        Thought1Error: gguf is not installed, or `check_gguf` refuses the file. Whatever
            transformers raises over an architecture or a tokenizer that it cannot read passes
            through.
    """
    _check_package(label)
    # Dequantised it would be larger still.
    keeps = model_cache.cache_folder() is not None and path.stat().st_size < model_cache.LIMIT
    key = _key(path, dtype) if keeps else {}
    read = _from_cache(label, key, dtype) if keeps else None
    if read is None:
        check_gguf(label, path)
        read = _from_file(path, dtype)
        if keeps and read.whole and read.tokenizer.is_fast:
            _keep(label, key, read)
    # As transformers calls what it reads from a file.
    read.model.name_or_path = read.model.config.name_or_path = str(path.parent)
    return read.model, read.info, read.tokenizer


def check_file(label: str, path: Path) -> None:
    """Refuse a file that cannot be read.

    Raises:
        Thought1Error: gguf is not installed, or `check_gguf` refuses the file.
    """
    _check_package(label)
    check_gguf(label, path)


def _check_package(label: str) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise Thought1Error(f'{label} needs the package gguf: pip install "thought1[gguf]"')


def _from_file(path: Path, dtype: torch.dtype) -> _Read:
    where: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False}
    with _bar(), _parsed_once():
        found: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, **where, dtype=dtype, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
    model, info = found
    # Its weights are no longer quantised, and may be saved and trained.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    # The file does not say how long a text may be.
    tokenizer.model_max_length = max_positions(model.config)
    return _Read(model, info, tokenizer)


@contextmanager
def _parsed_once() -> Iterator[None]:
    """transformers parses a file three times, for configuration, weights and tokenizer, and makes
    the table of its tensors' names for each module again: half of the time that loading takes."""
    import gguf

    with _PARSING:
        usual = {name: getattr(gguf, name) for name in _REPEATED}
        try:
            for name, call in usual.items():
                setattr(gguf, name, cache(call))
            yield
        finally:
            for name, call in usual.items():
                setattr(gguf, name, call)


def _bar() -> AbstractContextManager[Any]:
    """The bar of dequantising, which transformers shows even where its bars are switched off."""
    shown = transformers_logging.is_progress_bar_enabled()
    return nullcontext() if shown else redirect_stderr(io.StringIO())


def _key(path: Path, dtype: torch.dtype) -> model_cache.Key:
    readers = {name: version(name) for name in ("gguf", "tokenizers", "transformers")}
    return {"format": FORMAT, "file": hash_file(path), "dtype": str(dtype), **readers}


def _from_cache(label: str, key: model_cache.Key, dtype: torch.dtype) -> _Read | None:
    """What was kept, where it is what was read from the file; else None, and nothing is kept."""
    found = model_cache.find(key)
    if found is None:
        return None
    folder, record = found
    try:
        own: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, **own, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
        model, info = loaded
        read = _Read(model, info, AutoTokenizer.from_pretrained(folder, **own))
        if read.whole and _content(read) == record.content:
            return read
        reason = "its content has changed"
    except Exception as error:  # truncated, tampered with, or removed by another process just now
        reason = type(error).__name__
    logger.warning(
        "%s: the cached copy at %s is broken (%s) and is created again", label, folder, reason
    )
    model_cache.discard(folder)
    return None


def _keep(label: str, key: model_cache.Key, read: _Read) -> None:
    try:
        content = _content(read)
    except (TypeError, ValueError):  # a configuration that is no JSON could not be saved either
        return
    state = _compact(read.model.state_dict())
    size = sum(one.nbytes for one in {one.data_ptr(): one for one in state.values()}.values())

    def write(folder: Path) -> None:
        try:
            with redirect_stderr(io.StringIO()):  # an internal progress bar
                read.model.save_pretrained(folder, state_dict=state, max_shard_size=_SHARD)
            read.tokenizer.save_pretrained(folder)
        except Exception as error:  # of whichever library; a full disk among them
            raise OSError(str(error)) from error

    model_cache.keep(model_cache.CacheRecord(dict(key), label, content), size, write)


def _compact(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every tensor in two bytes a number where that loses nothing; tied ones stay tied."""
    different = {(one.data_ptr(), one.shape): one for one in state.values()}
    smallest = {place: _smallest(one) for place, one in different.items()}
    return {name: smallest[one.data_ptr(), one.shape] for name, one in state.items()}


def _smallest(tensor: Tensor) -> Tensor:
    if tensor.dtype == torch.float32:
        for dtype in _COMPACT:
            short = tensor.to(dtype)
            if torch.equal(short.to(tensor.dtype), tensor):
                return short
    return tensor


def _content(read: _Read) -> str:
    """SHA-256 over all that decides what model and tokenizer do."""
    digest, seen = hashlib.sha256(), set()
    for name, tensor in sorted(read.model.state_dict().items()):
        place = tensor.data_ptr(), tensor.shape
        if place not in seen:  # tied weights count once
            add_tensor(digest, name, tensor)
        seen.add(place)
    model, tokenizer = read.model, read.tokenizer
    facts = [
        type(model).__name__,
        {k: v for k, v in model.config.to_dict().items() if k not in _NAMES_ONLY},
        model.generation_config.to_dict(),
        tokenizer.backend_tokenizer.to_str(),
        tokenizer.special_tokens_map,
        tokenizer.chat_template,
        tokenizer.model_max_length,
        tokenizer.padding_side,
    ]
    return hash_json([digest.hexdigest(), *facts])
