"""A fine-tuned sentence-transformers model as low-rank updates (peft's format) of a public one.

Next to peft's two files is `base.json`, which names the model that they change, and its hash. It
knows folders and peft; `sentence_model` loads the base.
"""

import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from thought1.data.hashing import hash_json
from thought1.model.adapter import hash_content, put_in, read_adapter, save_adapter
from thought1.model.loading import check_pointers, loading_errors
from thought1.model.place import Place
from thought1.model.settings import Base
from thought1.types import Thought1Error

FILE_NAME = "base.json"


def is_tuned(folder: Path) -> bool:
    """Whether the folder holds updates of another model."""
    return (folder / FILE_NAME).is_file()


def read_base(name: str, folder: Path) -> Base:
    """The model that the updates in a folder change.

    Raises:
        Thought1Error: `base.json` is broken.
    """
    with loading_errors(f"{name} has a broken {FILE_NAME}", name):
        content = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        return Base(str(content["model"]), str(content["hash"]))


def put_updates(name: str, folder: Path, model: Any) -> Any:
    """A `peft.PeftModel` over the transformer of a `SentenceTransformer`, with separate updates.

    Raises:
        Thought1Error: peft is not installed; the updates are broken, or do not fit.
    """
    check_pointers(name, folder)
    config, state = read_adapter(name, folder)
    with loading_errors(f"{name} does not fit the model that it changes", name):
        return put_in(name, state, transformer(model), config)


def add_updates(model: Any, rank: int, alpha: int) -> Any:
    """The same, with new updates of all linear layers, which change nothing yet.

    Raises:
        Thought1Error: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise Thought1Error('lora_rank needs peft: pip install "thought1[train]"') from None
    config = LoraConfig(
        r=rank, lora_alpha=alpha, target_modules="all-linear", exclude_modules=r".*\bpooler\b.*"
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", FutureWarning
        )  # peft calls transformers by a deprecated API
        return get_peft_model(transformer(model), config)


def save_updates(adapter: Any, base: Base, folder: Path, dtype: Any) -> None:
    """Write the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    save_adapter(adapter, base, folder, dtype)
    text = json.dumps(asdict(base), indent=2) + "\n"
    (folder / FILE_NAME).write_text(text, encoding="utf-8")


def tuned_weights(folder: Path, base_weights: str) -> str:
    """SHA-256 over the base's weights and the updates, and how these count."""
    return hash_json([base_weights, hash_content(Place(folder.name, folder))])


def transformer(model: Any) -> Any:
    """The transformers model in a `SentenceTransformer`.

    Raises:
        Thought1Error: its first module holds none.
    """
    found = getattr(model[0], "auto_model", None)
    if found is None:
        raise Thought1Error(
            f"a sentence-transformers model that begins with {type(model[0]).__name__} has no "
            "transformer to train"
        )
    return found
