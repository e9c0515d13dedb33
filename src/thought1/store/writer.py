"""Documents into a store: skip what exists already, encode the rest, write block by block.

Knows the contract of a store, and one function that encodes; neither the model it calls nor
where the documents come from.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from thought1.contracts import Store
from thought1.store.storable import storable
from thought1.types import Document, StoredRow, Thought1Error, Vectors

WINDOW = 2048
"""Documents compared with the store at a time, and most documents of one write."""
WINDOW_CHARS = 32_000_000
"""Characters after which a window ends, whatever its number of documents."""
FIRST_WRITE = 32
WRITE_SECONDS = 10.0
"""How long documents are encoded before they are written: what a kill can cost, about, be the
model fast or slow."""

UNIT_TOLERANCE = 1e-3
"""How far the length of a vector may be from 1: half-precision numbers are within it."""

Encode = Callable[[Iterable[Document]], Iterator[tuple[list[Document], Vectors]]]
"""Chunks of the documents with their vectors (n, d)."""


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of the documents that were to be added; the three sum up to their number."""

    added: int
    unchanged: int
    replaced: int


class Writer:
    """Adds documents to one store."""

    def __init__(self, store: Store, encode: Encode) -> None:
        self._store = store
        self._encode = encode
        self._block_size = FIRST_WRITE

    def add(
        self, documents: Iterable[Document], on_progress: Callable[[int], None] | None = None
    ) -> AddReport:
        """`Index.add`, where it is described."""
        counts: Counter[str] = Counter()
        stream = iter(documents)
        while window := _window(stream):
            changed = self._changed(window, counts)
            if on_progress:
                on_progress(len(window) - len(changed))
            while changed:
                block, changed = changed[: self._block_size], changed[self._block_size :]
                self._write(block)
                if on_progress:
                    on_progress(len(block))
        return AddReport(counts["added"], counts["unchanged"], counts["replaced"])

    def add_encoded(
        self,
        chunks: Iterable[tuple[Sequence[Document], Vectors]],
        on_progress: Callable[[int], None] | None = None,
    ) -> AddReport:
        """`Index.add_encoded`, where it is described."""
        counts: Counter[str] = Counter()
        for documents, vectors in chunks:
            check_encoded(documents, vectors)
            kept = [storable(document) for document in documents]
            given = {d.id: vector for d, vector in zip(kept, vectors, strict=True)}
            changed = self._changed(kept, counts)
            rows = [StoredRow(d, given[d.id], digest) for d, digest in changed]
            if rows:
                self._store.upsert(rows)
            if on_progress:
                on_progress(len(kept))
        return AddReport(counts["added"], counts["unchanged"], counts["replaced"])

    def _changed(self, window: list[Document], counts: Counter[str]) -> list[tuple[Document, str]]:
        """The documents that are not stored as they are, each id once, and their hashes."""
        digests = [content_hash(document) for document in window]
        known = self._store.hashes([document.id for document in window])
        changed: dict[str, tuple[Document, str]] = {}
        for document, digest in zip(window, digests, strict=True):
            before = known.get(document.id)
            if before == digest:
                counts["unchanged"] += 1
                continue
            counts["added" if before is None else "replaced"] += 1
            known[document.id] = digest
            changed[document.id] = (document, digest)
        return list(changed.values())

    def _write(self, block: list[tuple[Document, str]]) -> None:
        start = time.perf_counter()
        digests = {document.id: digest for document, digest in block}
        chunks = self._encode(document for document, _ in block)
        self._store.upsert(
            [
                StoredRow(document, vector, digests[document.id])
                for chunk, vectors in chunks
                for document, vector in zip(chunk, vectors, strict=True)
            ]
        )
        fitting = int(len(block) * WRITE_SECONDS / (time.perf_counter() - start))
        self._block_size = min(WINDOW, max(FIRST_WRITE, fitting))


def check_encoded(documents: Sequence[Document], vectors: Vectors) -> None:
    """Refuse vectors that cannot be those of the documents.

    Raises:
        Thought1Error: not one for each document, or not of unit length.
    """
    if len(documents) != len(vectors):
        raise Thought1Error(f"{len(documents)} documents but {len(vectors)} vectors")
    place = first_not_unit(vectors)
    if place is not None:
        raise Thought1Error(
            f"the vector of document {documents[place].id!r} has length "
            f"{np.linalg.norm(vectors[place]):.4g}, not 1: normalise the vectors"
        )


def first_not_unit(vectors: Vectors) -> int | None:
    """The first of the vectors (n, d) whose length is not 1, None if all are."""
    norms = np.linalg.norm(np.asarray(vectors, np.float32), axis=1)
    wrong = np.flatnonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE))  # a NaN is not near 1
    return int(wrong[0]) if len(wrong) else None


def content_hash(document: Document) -> str:
    """SHA-256 over title, text and metadata: whatever is stored of a document but its id.

    The document is one that `storable` gives.
    """
    metadata = sorted(document.metadata.items())
    content = json.dumps([document.title, document.text, metadata], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _window(stream: Iterator[Document]) -> list[Document]:
    window: list[Document] = []
    chars = 0
    for document in islice(stream, WINDOW):
        window.append(storable(document))
        chars += len(window[-1].text)
        if chars >= WINDOW_CHARS:
            break
    return window
