"""Models and indexes, as the options name them.

Knows neither results nor the commands.
"""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from thought1.cli.console import note

if TYPE_CHECKING:
    from thought1.index import Index
    from thought1.model.sentence_model import SentenceModel
    from thought1.t1 import T1

Encoder: TypeAlias = "T1 | SentenceModel"


def quiet_libraries() -> None:
    """No loading bars and reports of transformers; what matters, thought1 says itself."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_encoder(name: str | None, trust_remote_code: bool) -> "Encoder":
    """What an index may have: a T1, or as `st:NAME` a sentence-transformers model."""
    from thought1.model.sentence_model import PREFIX, SentenceModel

    if name is None or not name.startswith(PREFIX):
        return load_model(name, trust_remote_code)
    quiet_libraries()
    return SentenceModel.load(name.removeprefix(PREFIX), trust_remote_code=trust_remote_code)


def load_model(name: str | None, trust_remote_code: bool) -> "T1":
    """The model of that name; None is the default one."""
    from thought1.t1 import T1

    quiet_libraries()
    return T1.from_pretrained(name or default_name(), trust_remote_code=trust_remote_code)


def default_name() -> str:
    """The default model; one line says which it is, and why."""
    from thought1.model.inventory import default_model

    found = default_model()
    note(str(found))
    return found.name


def open_index(
    folder: Path, model: str | None, trust_remote_code: bool
) -> tuple["Index", "Encoder"]:
    """The index in a folder, and its model: the one it remembers, or the one named."""
    from thought1.opening import open_with_model

    quiet_libraries()
    return open_with_model(folder, model, trust_remote_code)


def open_without_model(folder: Path) -> "Index":
    """The index in a folder, for BM25 and for what touches no vector."""
    from thought1 import opening

    return opening.open_without_model(folder)


def holds_something(folder: Path) -> bool:
    """Whether there is a file, or a folder that is not empty: possibly an index."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
