"""What every evaluated system looks like, and how it is described in a result.

The contract only: T1 over an index is in `indexed`, everything else in `baselines`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from thought1.data.corpus import Corpus
from thought1.types import Receipt, SearchResult

Progress = Callable[[int], None]
"""Called with the number of documents or queries done since the last call."""

WEIGHTS_SHOWN = 12
"""Digits of the weights' hash that tell the revisions of a model apart."""


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What answered; the field "system" of a result."""

    name: str
    """Unique among systems: the same model with another budget or mode has another name."""
    kind: str
    """"t1", "bm25", "bm25-query", "st" or "openai"."""
    revision: str
    """Of the weights, or of the program."""
    mode: str = "dense"
    """"dense", "bm25" or "hybrid"."""
    think: int | None = None
    """Most tokens of a thought; None where the system cannot think."""
    weights: str | None = None
    """SHA-256."""
    settings: str | None = None
    """SHA-256 over whatever else decides a vector or a thought: templates, prompts, lengths."""
    model: str | None = None
    """Folder or hub id it was loaded from. Not in results: folders differ among machines."""

    def to_json(self) -> dict[str, Any]:
        """JSON data, the fields by their names."""
        return {key: value for key, value in asdict(self).items() if key != "model"}


class System(Protocol):
    """Something that ranks the documents of a collection for queries."""

    @property
    def facts(self) -> SystemFacts:
        """Known before anything is prepared."""

    def prepare(self, corpus: Corpus, on_progress: Progress) -> int:
        """Read the documents to their end before anything else; returns their number."""

    def search(
        self, queries: list[str], on_progress: Progress
    ) -> tuple[list[SearchResult], Receipt]:
        """The best documents of each query, as many as it was opened for, and what it cost."""


def short_name(model: str) -> str:
    """A hub id as it is, and of a folder the last part, so that no result names a home."""
    return Path(model).resolve().name if Path(model).is_dir() else model


def revision_of(weights: str | None) -> str:
    """What tells weights apart in the name of a folder."""
    return weights[:WEIGHTS_SHOWN] if weights else "unversioned"
