"""Adapter checkpoints for tests: made by peft alone, changed, and broken."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch


def plain_adapter(folder: Path, base: Path, config: Any = None, added: Sequence[str] = ()) -> Path:
    """Somebody's own, made by peft alone; tokens may have been added to the base."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(base)
    if added:
        tokenizer = AutoTokenizer.from_pretrained(base)
        tokenizer.add_tokens(list(added))
        tokenizer.save_pretrained(folder)
        network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    adapter = get_peft_model(
        network, config or LoraConfig(r=2, target_modules=["q_proj", "v_proj"])
    )
    torch.manual_seed(1)
    for name, parameter in adapter.named_parameters():
        if "lora_" in name or "embed_tokens.weight" in name:
            parameter.data.normal_(0, 0.5)
    adapter.save_pretrained(folder)
    return folder


def changed(**entries: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))

    return change


def truncated(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:500])
