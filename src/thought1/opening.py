"""An index together with the model it needs, and models by the names that users give.

What is loaded here is quiet and chooses without a word; `thought1.cli.models` says what was chosen.
"""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from thought1.index import Index
from thought1.search.words_only import WordsOnly
from thought1.types import Thought1Error

# Models are imported where one is loaded: a search by words alone starts without torch.
if TYPE_CHECKING:
    from thought1.model.sentence_model import SentenceModel
    from thought1.t1 import T1

IndexEncoder: TypeAlias = "T1 | SentenceModel"
"""What an index may have as its model."""


def load_t1(name: str | None, trust_remote_code: bool = False) -> "T1":
    """The model of that name; None is the default one."""
    from thought1.model.inventory import default_model
    from thought1.t1 import T1

    return T1.from_pretrained(name or default_model().name, trust_remote_code=trust_remote_code)


def load_index_encoder(name: str | None, trust_remote_code: bool = False) -> IndexEncoder:
    """A T1, or as `st:NAME` a sentence-transformers model."""
    from thought1.model.sentence_model import PREFIX, SentenceModel

    if name is None or not name.startswith(PREFIX):
        return load_t1(name, trust_remote_code)
    return SentenceModel.load(name.removeprefix(PREFIX), trust_remote_code=trust_remote_code)


def open_with_model(
    folder: Path, model: str | None, trust_remote_code: bool = False
) -> tuple[Index, IndexEncoder]:
    """The index in a folder, and its model: the one it remembers, or the one named.

    Raises:
        Thought1Error: there is no index, or the model cannot be loaded or is another one.
    """
    needed = Index.remembered(folder).model
    try:
        loaded = load_index_encoder(model or needed, trust_remote_code)
    except Thought1Error as error:
        if model:
            raise
        raise Thought1Error(
            f"the index at {folder} needs the model it was made with, which cannot be loaded "
            f"({error}); put it back, or name the folder where it is now as the model"
        ) from None
    return Index.open(folder, loaded), loaded


def open_without_model(folder: Path) -> Index:
    """The index in a folder, for BM25 and for what touches no vector."""
    info = Index.remembered(folder)
    return Index.open(folder, WordsOnly(info.model, info.dim, info.identity))


def holds_something(folder: Path) -> bool:
    """Whether there is a file, or a folder that is not empty: possibly an index."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
