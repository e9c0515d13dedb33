"""From a GGUF file to a model and its tokenizer in memory, dequantised, whole, or else refused.

transformers reads the file (it needs the package gguf). What comes out is an ordinary model: it
trains, and is saved as safetensors.
"""

import importlib.util
import io
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from thought1.engines.hf import max_positions
from thought1.gguf_file import check_gguf
from thought1.types import Thought1Error


def load_gguf(label: str, path: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any], Any]:
    """The model, what transformers says about loading it, and the tokenizer.

    Raises:
        Thought1Error: gguf is not installed, or `check_gguf` refuses the file. Whatever
            transformers raises over an architecture or a tokenizer that it cannot read passes
            through.
    """
    if importlib.util.find_spec("gguf") is None:
        raise Thought1Error(f'{label} needs the package gguf: pip install "thought1[gguf]"')
    check_gguf(label, path)
    where: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False}
    with _bar():
        found: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, **where, dtype=dtype, output_loading_info=True
        )
    model, info = found
    tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
    # Its weights are no longer quantised, and may be saved and trained.
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    # The file does not say how long a text may be.
    tokenizer.model_max_length = max_positions(model.config)
    return model, info, tokenizer


def _bar() -> AbstractContextManager[Any]:
    """The bar of dequantising, which transformers shows even where its bars are switched off."""
    return nullcontext() if logging.is_progress_bar_enabled() else redirect_stderr(io.StringIO())
