"""Searches read the store a few at a time, in the order in which they come.

A store works on all that it is given at once: a hundred searches at the same time slow each other
down, and a write, which needs several operations one after the other, comes off worst. So searches
take turns; writes do not wait for one. It knows the contract of a store, no requests.
"""

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from thought1.contracts import Store
from thought1.types import Document, Filter, Metadata, Ranking, StoredRow, Vectors


class Turns:
    """So many threads at a time; the others wait, and the one that came first is next."""

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place, and have it until the block ends."""
        mine = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                mine.set()
            else:
                self._waiting.append(mine)
        mine.wait()
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().set()  # who gets the place
                else:
                    self._free += 1


class StoreInTurn:
    """A `Store` whose readings wait for their turn; see `contracts.Store` for what each does."""

    def __init__(self, store: Store, turns: Turns) -> None:
        self._store = store
        self._turns = turns

    @property
    def info(self) -> Mapping[str, Any]:
        """At once."""
        return self._store.info

    def upsert(self, rows: Sequence[StoredRow]) -> None:
        """At once."""
        self._store.upsert(rows)

    def delete(self, ids: Sequence[str]) -> int:
        """At once."""
        return self._store.delete(ids)

    def optimize(self) -> None:
        """At once."""
        self._store.optimize()

    def scan(self, batch_size: int = 1000) -> Iterator[list[StoredRow]]:
        """At once: who reads it may take any time."""
        return self._store.scan(batch_size)

    def count(self) -> int:
        """In turn."""
        with self._turns.turn():
            return self._store.count()

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """In turn."""
        with self._turns.turn():
            return self._store.hashes(ids)

    def get(self, ids: Sequence[str]) -> dict[str, Document]:
        """In turn."""
        with self._turns.turn():
            return self._store.get(ids)

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """In turn."""
        with self._turns.turn():
            return self._store.vectors(ids)

    def metadata(self) -> Mapping[str, Metadata]:
        """In turn."""
        with self._turns.turn():
            return self._store.metadata()

    def search_dense(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[Ranking]:
        """In turn."""
        with self._turns.turn():
            return self._store.search_dense(vectors, k, where)

    def search_bm25(
        self,
        queries: Sequence[str],
        k: int,
        where: Filter | None = None,
        among: Sequence[str] | None = None,
    ) -> list[Ranking]:
        """In turn."""
        with self._turns.turn():
            return self._store.search_bm25(queries, k, where, among)
