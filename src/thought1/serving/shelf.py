"""What a server serves: indexes by name, and their models.

A request names an index or a model by the name it has here; no path comes from a request. It knows
no HTTP but what to answer where a name is unknown.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from thought1.contracts import ThoughtWriter
from thought1.data.hashing import hash_json
from thought1.files.bounded import BoundedFile
from thought1.index import Index
from thought1.search.found import IndexModel
from thought1.search.thought_cache import CachedThinker
from thought1.serving.asking import Asking
from thought1.serving.batching import Batcher
from thought1.serving.errors import ApiError
from thought1.serving.reranking import ServedReranker
from thought1.serving.turns import StoreInTurn, Turns
from thought1.t1 import T1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model and its thread."""

    name: str
    batcher: Batcher
    created: int = field(default_factory=lambda: int(time.time()))
    """When it was loaded, in seconds since 1970."""
    kept: BoundedFile | None = None
    """Where its thoughts are kept, if they are."""

    def thinker(self, asking: Asking, queries: int) -> IndexModel:
        """The model for one request, which takes the thoughts that are there.

        Events of a stream number the questions that are thought about, so that one with several
        questions takes none.
        """
        model = self.batcher.model
        several = asking.listener is not None and queries > 1
        if self.kept is None or several or not isinstance(model, T1):
            return asking
        identity = model.checkpoint.thinking_identity
        if asking.instruction is not None:
            identity = hash_json([identity, asking.instruction])
        return CachedThinker(asking, identity, self.kept)


@dataclass(frozen=True, slots=True)
class ServedIndex:
    """An index and its model."""

    name: str
    index: Index
    searching: Index
    """The same, for the many requests that search: they read its store in turn."""
    model: ServedModel
    writing: threading.Lock = field(default_factory=threading.Lock)
    """Held by the one request that changes documents."""


@dataclass(frozen=True, slots=True)
class Helpers:
    """What one search uses beside the index and its model."""

    reranker: ServedReranker | None = None
    writer: ThoughtWriter | None = None


@dataclass(frozen=True, slots=True)
class Shelf:
    """All of them; the first index and its model are meant where a request names none and there is
    one only."""

    indexes: Mapping[str, ServedIndex]
    models: Mapping[str, ServedModel]
    rerankers: Mapping[str, ServedReranker] = field(default_factory=dict)
    writers: Mapping[str, ThoughtWriter] = field(default_factory=dict)
    """Of thoughts, by the names that requests give."""

    def index(self, name: str | None) -> ServedIndex:
        """The index of that name; None where there is one only.

        Raises:
            ApiError: there is none of that name, or several and none is named.
        """
        return _named("index", name, self.indexes)

    def model(self, name: str | None) -> ServedModel:
        """The model of that name; None where there is one only.

        Raises:
            ApiError: there is none of that name, or several and none is named.
        """
        return _named("model", name, self.models)

    def helpers(self, rerank: str | None, thinker: str | None) -> Helpers:
        """Reranker and writer of thoughts of these names.

        Raises:
            ApiError: there is none.
        """
        return Helpers(
            None if rerank is None else _started("rerank", rerank, self.rerankers),
            None if thinker is None else _started("thinker", thinker, self.writers),
        )

    def without_paths(self, message: str) -> str:
        """A message in which models and indexes go by the names that they have here."""
        names = {model.batcher.model.name: model.name for model in self.models.values()}
        names |= {str(served.index.path): served.name for served in self.indexes.values()}
        for path in sorted(names, key=len, reverse=True):  # of nested folders the inner one first
            message = message.replace(path, names[path])
        return message

    def close(self) -> None:
        """Finish what is there, and take nothing more."""
        for model in self.models.values():
            model.batcher.close()


def _started(field: str, name: str, known: Mapping[str, T]) -> T:
    """What the server was started with under that name."""
    if name not in known:
        there = f"there are: {', '.join(known)}" if known else "it was started with none"
        message = f"this server has no such {field}; {there}"
        raise ApiError(404, f"{field}_not_found", message, field)
    return known[name]


def _named(kind: str, name: str | None, known: Mapping[str, T]) -> T:
    names = ", ".join(known)
    if name is None:
        if len(known) > 1:
            raise ApiError(400, f"{kind}_missing", f"name the {kind}, one of: {names}", kind)
        return next(iter(known.values()))
    if name not in known:
        raise ApiError(
            404, f"{kind}_not_found", f"there is no such {kind}; there are: {names}", kind
        )
    return known[name]


def shown_name(name: str) -> str:
    """A model's name without the folders of the server's machine."""
    prefix, _, place = (
        name.rpartition(":") if name.startswith(("st:", "package:")) else ("", "", name)
    )
    if prefix != "package" and Path(place).exists():
        place = Path(place).resolve().name
    return f"{prefix}:{place}" if prefix else place


def make_shelf(
    indexes: Mapping[str, Index],
    start: Callable[[Index, str], Batcher],
    rerankers: Mapping[str, ServedReranker] | None = None,
    writers: Mapping[str, ThoughtWriter] | None = None,
    kept: BoundedFile | None = None,
) -> Shelf:
    """Indexes by name, with a thread for each of their models.

    Args:
        rerankers: by the names that requests give.
        writers: of thoughts, likewise.
        kept: where thoughts are kept; None keeps none.
        start: starts the thread of an index's model, of which it gets the name too; called once
            for each model object.
    """
    turns = Turns(max(2, os.cpu_count() or 1))
    models: dict[str, ServedModel] = {}
    by_object: dict[int, ServedModel] = {}
    served: dict[str, ServedIndex] = {}
    for name, index in indexes.items():
        own = by_object.get(id(index.model))
        if own is None:
            shown = base = shown_name(index.model.name)
            number = 2
            while shown in models:
                shown, number = f"{base}-{number}", number + 1
            own = by_object[id(index.model)] = models[shown] = ServedModel(
                shown, start(index, shown), kept=kept
            )
        searching = index.through(lambda store: StoreInTurn(store, turns))
        served[name] = ServedIndex(name, index, searching, own)
    return Shelf(served, models, rerankers or {}, writers or {})
