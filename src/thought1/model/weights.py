"""The hash that identifies weights, whatever files they are stored in."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from thought1.types import Thought1Error


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
            add_tensor(digest, f"{module}/{name}" if module else name, file.get_tensor(name))
    return digest.hexdigest()


def add_tensor(digest: "hashlib._Hash", name: str, tensor: torch.Tensor) -> None:
    """Put name, type, shape and bytes of a tensor on a CPU into a hash."""
    digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
    digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
