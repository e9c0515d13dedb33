"""What every evaluated system is: its facts, and one verb that ranks documents for queries.

The contract only. Each system has a file in this folder and a row in `thought1.registry.SYSTEMS`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from thought1.data.corpus import Corpus
from thought1.search.options import SearchOptions
from thought1.types import Document, Receipt, Run, Thought, Thought1Error

WEIGHTS_SHOWN = 12
"""Digits of the weights' hash that identify a revision."""


class Bar(Protocol):
    """A progress bar."""

    def update(self, done: int, /) -> None:
        """Count what has been done since the last call."""


Progress = Callable[[int], None]
"""Called with the number of documents or queries done since the last call."""

Bars = Callable[[str, int | None, str], AbstractContextManager[Bar]]
"""Opens a progress bar: (description, total, unit)."""


class _Silent:
    def update(self, done: int, /) -> None:
        """Nothing is shown."""


def no_bars(description: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
    """Progress that is not shown."""
    return nullcontext(_Silent())


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What identifies a system; the field "system" of a result."""

    name: str
    """Unique among systems: the same model with another budget or mode has another name."""
    kind: str
    """"t1", "bm25", "bm25-query", "st" or "openai"."""
    revision: str
    """Of the weights, or of the program."""
    mode: str = "dense"
    """"dense", "bm25" or "hybrid"."""
    think: int | None = None
    """Most tokens of a thought; None if the system cannot think."""
    weights: str | None = None
    """SHA-256."""
    settings: str | None = None
    """SHA-256 over whatever else decides a vector or a thought: templates, prompts, lengths."""
    model: str | None = None
    """Folder or hub id it was loaded from. Not in results: folders differ among machines."""

    def to_json(self) -> dict[str, Any]:
        """JSON data, the fields by their names."""
        return {key: value for key, value in asdict(self).items() if key != "model"}


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of a collection, which can be read any number of times."""

    read: Callable[[], Iterator[Document]]
    size: int
    folder: Path
    """Where they are stored, for messages."""

    def __iter__(self) -> Iterator[Document]:
        return self.read()

    @classmethod
    def of(cls, corpus: Corpus) -> "Documents":
        """The documents of a corpus, which is read once to its end, and so checked.

        Raises:
            Thought1Error: a row is bad, or there is none.
        """
        return cls(corpus.documents, corpus.validate().documents, corpus.path.parent)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a system ranked for the queries, and what that cost."""

    run: Run
    """Query id -> document id -> score, the best document first."""
    receipt: Receipt
    """Of the queries: encoding or indexing the documents is not in it."""
    thoughts: Mapping[str, Sequence[Thought]] = field(default_factory=dict)
    """Query id -> the thoughts that its vector was read from; no entry where there was none."""
    evidence: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Query id -> ids of the documents that were read before thinking."""


class System(Protocol):
    """Something that ranks the documents of a collection for queries."""

    @property
    def facts(self) -> SystemFacts:
        """Known before anything is ranked."""

    def rank(
        self, documents: Documents, queries: Mapping[str, str], depth: int, bars: Bars = no_bars
    ) -> Answers:
        """The `depth` best documents of each query (query id -> text), or as many as there are."""

    def close(self) -> None:
        """Give back what is held; the system is not used afterwards."""


@dataclass(frozen=True, slots=True)
class SystemOptions:
    """How a system is opened. What the kind of system does not know is left at its default."""

    trust_remote_code: bool = False
    search: SearchOptions = field(default_factory=lambda: SearchOptions(mode="dense"))
    """Their `k` is set by `System.rank`."""
    model: str | None = None
    """None is the index's model, or the default one."""
    index: Path | None = None
    """Folder of an index that is used, or made and kept; None makes a temporary one."""
    anchor: str = ""
    """Instead of the checkpoint's own; see `Settings.anchor`."""
    thoughts: Mapping[str, str] = field(default_factory=dict)
    """Query id -> the thought that is read, instead of one that the model writes."""


def unknown_system(spec: str) -> Thought1Error:
    """The error for a name that no system has."""
    return Thought1Error(
        f"there is no system {spec!r}: use t1, bm25, bm25-query, st:FOLDER_OR_ID or "
        "openai:URL#MODEL"
    )


def short_name(model: str) -> str:
    """A hub id as it is, and of a folder the last part, so that no result names a home."""
    return Path(model).resolve().name if Path(model).is_dir() else model


def revision_of(weights: str | None) -> str:
    """What identifies weights in the name of a folder."""
    return weights[:WEIGHTS_SHOWN] if weights else "unversioned"
