"""From a `Checkpoint` to a folder: an ordinary Hugging Face folder plus `t1.json`."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from thought1.model.adapter import FILES as ADAPTER_FILES
from thought1.model.adapter import save_adapter
from thought1.model.checkpoint import Checkpoint
from thought1.model.devices import find_dtype
from thought1.model.projection import FILE_NAME as PROJECTION
from thought1.model.projection import save_projection
from thought1.model.prompts import Renderer
from thought1.model.settings import OWN_COMPANION, Settings

MAX_SHARD = "15MB"

_MODEL_FILES = (
    "model*.safetensors*",
    "config.json",
    "generation_config.json",
    *ADAPTER_FILES,
    PROJECTION,
)
"""Files that make a folder a whole model or an adapter: stale ones would be loaded."""


def save_checkpoint(checkpoint: Checkpoint, folder: Path, *, dtype: str | None = None) -> None:
    """Write the checkpoint: first completely next to the folder, then moved into it.

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
            if path.is_dir():
                shutil.rmtree(folder / path.name, ignore_errors=True)
            path.replace(folder / path.name)
        kept = {path.name for path in written}
        for pattern in _MODEL_FILES:
            for stale in folder.glob(pattern):
                if stale.name not in kept:
                    stale.unlink()
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write(checkpoint: Checkpoint, folder: Path, dtype: str | None) -> None:
    if checkpoint.adapter is not None:
        _write_adapter(checkpoint, folder, dtype)
        return
    model = checkpoint.model
    state = {k: v for k, v in model.state_dict().items() if k not in checkpoint.random_head}
    kept = model.config.dtype
    if dtype is not None:
        stored = find_dtype(dtype, model.device)
        # One conversion for each piece of memory: tied weights stay tied, and are written once.
        memory = {k: (v.data_ptr(), v.shape) for k, v in state.items() if v.is_floating_point()}
        converted = {address: state[k].to(stored) for k, address in memory.items()}
        state = {k: converted[memory[k]] if k in memory else v for k, v in state.items()}
    try:
        model.save_pretrained(folder, state_dict=state, max_shard_size=MAX_SHARD)
        if dtype is not None:  # save_pretrained notes the type in memory
            model.config.dtype = stored
            model.config.save_pretrained(folder)
    finally:
        model.config.dtype = kept
    _write_rest(checkpoint, replace(checkpoint.settings, base=None), folder)


def _write_adapter(checkpoint: Checkpoint, folder: Path, dtype: str | None) -> None:
    base = checkpoint.base
    assert base is not None
    stored = None if dtype is None else find_dtype(dtype, checkpoint.model.device)
    save_adapter(checkpoint.adapter, base, folder, stored)
    _write_rest(checkpoint, replace(checkpoint.settings, base=base), folder)


def _write_rest(checkpoint: Checkpoint, settings: Settings, folder: Path) -> None:
    companion = settings.companion
    if companion and companion.stored:  # of another checkpoint too
        assert checkpoint.companion is not None
        shutil.copytree(checkpoint.companion.folder, folder / OWN_COMPANION)
        settings = replace(settings, companion=replace(companion, model=OWN_COMPANION))
    checkpoint.tokenizer.save_pretrained(folder)
    settings.save(folder)
    if checkpoint.projection is not None:
        save_projection(checkpoint.projection, folder)
    for path in folder.rglob("*"):
        # safetensors writes files that only their owner may read
        path.chmod(0o755 if path.is_dir() else 0o644)
