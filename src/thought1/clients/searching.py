"""What the retrievers search: an index of this process, or one that `t1 serve` serves.

Both answer in the form that a server has, so that a document looks the same wherever it came from.
It knows no framework.
"""

from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from thought1.clients.remote import TIMEOUT, RemoteIndex
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.serving.answers import ReceiptOut, ResultOut
from thought1.serving.hit_bodies import HitOut
from thought1.types import Thought1Error

FOUND = "t1"
"""The key of a document's metadata that says how it was found."""

_MODEL = Lock()
"""Frameworks call from several threads, and a model works for one at a time. One lock for the
process: two indexes may share a model."""


class Searchable(Protocol):
    """Answers one question; it may be called by several threads."""

    def search(self, query: str, options: SearchOptions) -> tuple[ResultOut, ReceiptOut]:
        """The thoughts and hits, and what they cost.

        Raises:
            Thought1Error: an option is wrong, or the index or its server cannot answer.
        """


@dataclass(frozen=True, slots=True)
class LocalIndex:
    """An index of this process."""

    index: Index

    def search(self, query: str, options: SearchOptions) -> tuple[ResultOut, ReceiptOut]:
        """As `Searchable` says; searches of this process wait for one another."""
        with _MODEL:
            (result,), receipt = self.index.search_many([query], options)
        return ResultOut.of(result), ReceiptOut.of(receipt)


def open_searchable(
    index: Index | None = None,
    url: str = "",
    index_name: str | None = None,
    token: str | None = None,
    timeout: float = TIMEOUT,
) -> Searchable:
    """What a retriever with these arguments searches.

    Args:
        index: one of this process; otherwise the others name a server's (`RemoteIndex`).

    Raises:
        Thought1Error: both are named, or neither.
    """
    if index is None and url:
        return RemoteIndex(url, index_name, token, timeout)
    if index is None:
        raise Thought1Error(
            "nothing to search: give an Index (index=) or the address of a `t1 serve` (url=)"
        )
    if url or index_name is not None or token is not None:
        raise Thought1Error(
            "url, index_name and token belong to a server; an Index (index=) needs none of them"
        )
    return LocalIndex(index)


def thought_of(result: ResultOut) -> str:
    """The text of the thought that was searched with; "" where nothing was thought."""
    return result.thoughts[0].text if result.thoughts else ""


def metadata_of(result: ResultOut, hit: HitOut) -> dict[str, Any]:
    """The metadata of a framework's document, JSON data.

    The document's own, its `title` where it has one, and under `FOUND`: `rank`, `score`, `thought`;
    and where there are any `thoughts` (several), `confidence`, `fell_back`, `evidence`, `rounds`,
    `stages`, `left_out`, `passages`, `before`, `after`, `explanation`, as POST /v1/search names
    them.
    """
    more = {
        **result.model_dump(exclude={"query", "hits", "thoughts"}),
        **hit.model_dump(include={"passages", "before", "after", "explanation"}),
    }
    if len(result.thoughts) > 1:
        more["thoughts"] = [thought.model_dump() for thought in result.thoughts]
    found = {"rank": hit.rank, "score": hit.score, "thought": thought_of(result)}
    found |= {name: value for name, value in more.items() if _says_something(value)}
    title = {"title": hit.title} if hit.title else {}
    return {**hit.metadata, **title, FOUND: found}


def _says_something(value: object) -> bool:
    return value is not None and value is not False and value != []
