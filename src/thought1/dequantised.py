"""From a GGUF file to a model and its tokenizer in memory, dequantised, whole, or else refused.

transformers reads the file (it needs the package gguf). What comes out is an ordinary model: it
trains, and is saved as safetensors.
"""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from thought1.engines.hf import max_positions
from thought1.types import Thought1Error

_MAGIC = b"GGUF"


def load_gguf(label: str, path: Path, dtype: torch.dtype) -> tuple[Any, dict[str, Any], Any]:
    """The model, what transformers says about loading it, and the tokenizer.

    Raises:
        Thought1Error: it is no GGUF file, or gguf is not installed. Whatever transformers raises
            over a truncated file, an unknown quantisation or architecture passes through.
    """
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise Thought1Error(f"{label} is no GGUF file: its first bytes are not GGUF")
    if importlib.util.find_spec("gguf") is None:
        raise Thought1Error(f'{label} needs the package gguf: pip install "thought1[gguf]"')
    where: dict[str, Any] = {"gguf_file": path.name, "trust_remote_code": False}
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
