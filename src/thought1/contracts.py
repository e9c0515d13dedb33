"""The contracts of exchangeable parts: an engine, a writer of thoughts, a reranker, a store.

Protocols only; the plain data that they mention is in `types`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from thought1.types import (
    Document,
    Filter,
    Generation,
    LeftOut,
    Metadata,
    Ranking,
    Reranked,
    Sampling,
    Step,
    StoredRow,
    Thought,
    Vectors,
)


class RunningBatch(Protocol):
    """Thoughts that are written together; rows join and leave between two steps.

    A row's thought is the one it writes alone, up to rounding: tokens differ only where two
    candidates are within rounding of each other. Use it from one thread at a time.
    """

    @property
    def size(self) -> int:
        """How many rows are still thinking."""

    @property
    def open(self) -> bool:
        """Whether rows may join now; some models take them in an empty batch only."""

    def join(
        self,
        prefix: Sequence[int],
        rows: Sequence[Sequence[int]],
        budgets: Sequence[int],
        sampling: Sampling,
        *,
        copies: int = 1,
        snapshots: Sequence[int] = (),
    ) -> Sequence[int]:
        """Read the prompts of more rows, which think from the next step on; the arguments are those
        of `Engine.generate`.

        Returns:
            The numbers of the rows, which no row before has had: prompt by prompt, and copy by copy
            within a prompt.

        Raises:
            Thought1Error: prompt and budget exceed the model's positions.
            ValueError: the batch is not open.
        """

    def step(self) -> Step:
        """One more token for each row; needs at least one row."""

    def leave(self, rows: Sequence[int]) -> None:
        """End some thoughts early, and free their part of the cache."""


class Engine(Protocol):
    """Runs the language model: token ids in, vectors and token ids out. Knows no text."""

    @property
    def dim(self) -> int:
        """Dimension d of the vectors."""

    @property
    def max_positions(self) -> int:
        """Longest sequence, in tokens."""

    def embed(self, prefix: Sequence[int], rows: Sequence[Sequence[int]]) -> Vectors:
        """Vectors (n, d) at the last token of each `prefix + row`, in one forward pass."""

    def stream(
        self,
        prefix: Sequence[int],
        rows: Sequence[Sequence[int]],
        budgets: Sequence[int],
        sampling: Sampling,
        *,
        copies: int = 1,
        snapshots: Sequence[int] = (),
    ) -> Iterator[Step]:
        """`generate`, step by step. Closing the iterator ends all thoughts and frees their rows."""

    def running(self) -> RunningBatch:
        """An empty batch that rows join and leave."""

    def generate(
        self,
        prefix: Sequence[int],
        rows: Sequence[Sequence[int]],
        budgets: Sequence[int],
        sampling: Sampling,
        *,
        copies: int = 1,
        snapshots: Sequence[int] = (),
    ) -> list[Generation]:
        """A thought of at most `budgets[i]` tokens after each `prefix + row`, and its vector.

        Args:
            copies: number of thoughts for each row, returned consecutively; the first is the one
                that is written with one copy.
            snapshots: numbers of tokens after which each thought's vector is read as well. They
                change no thought.
        """


class ThoughtWriter(Protocol):
    """Writes thoughts that a T1 reads: another T1, or any language model. A `T1` is one."""

    def think(
        self, queries: Sequence[str], *, budget: int | None = None
    ) -> Sequence[str | Thought | LeftOut]:
        """A thought of at most `budget` tokens for each query; None is the writer's own budget.

        A `Thought` is read by its token ids, which must be those of the reader's tokenizer; a
        text is tokenised by the reader. A `LeftOut` says why there is none for a query.
        """


class Reranker(Protocol):
    """Reads a query together with documents that a search has found, and scores them."""

    @property
    def name(self) -> str:
        """How `SearchOptions.rerank` calls it."""

    @property
    def pointwise(self) -> bool:
        """Whether the score of a document does not depend on what else is read with it, so that
        those of several calls can be compared."""

    @property
    def weights_hash(self) -> str | None:
        """Represents the weights that score; None where they are not known, as on a server."""

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """A finite score for each of the documents (titles and texts), 1 or more, which come in the
        order of the search. What it says nothing about keeps that order.

        It may be called by several threads.

        Raises:
            Thought1Error: it cannot be reached, takes too long, or answers nothing of use.
        """


class Store(Protocol):
    """Keeps documents, vectors and a BM25 index in one place. Knows neither model nor prompts.

    `upsert` is atomic and durable: when it returns, the rows survive a kill of the process.
    """

    @property
    def info(self) -> Mapping[str, Any]:
        """What was given as `info` when the store was created."""

    def upsert(self, rows: Sequence[StoredRow]) -> None:
        """Add rows, or replace those whose id exists, also while others write."""

    def delete(self, ids: Sequence[str]) -> int:
        """Remove documents; returns how many existed."""

    def count(self) -> int:
        """Number of documents."""

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """Content hash of each of `ids` that is stored."""

    def get(self, ids: Sequence[str]) -> dict[str, Document]:
        """The stored documents among `ids`."""

    def vectors(self, ids: Sequence[str]) -> dict[str, Vectors]:
        """The vector (d,) of each of `ids` that is stored, as it was given."""

    def scan(self, batch_size: int = 1000) -> Iterator[list[StoredRow]]:
        """Every row once, at most `batch_size` at a time, in no particular order.

        The rows are those of the moment at which it begins; memory is bounded by a batch.
        """

    def metadata(self) -> Mapping[str, Metadata]:
        """Id and metadata of every document."""

    def search_dense(self, vectors: Vectors, k: int, where: Filter | None = None) -> list[Ranking]:
        """The k documents of highest cosine similarity, for each row of `vectors` (n, d)."""

    def search_bm25(
        self,
        queries: Sequence[str],
        k: int,
        where: Filter | None = None,
        among: Sequence[str] | None = None,
    ) -> list[Ranking]:
        """The k best documents by BM25 over title and text, for each query.

        Args:
            among: only documents with these ids, with the scores that they have among all.
        """

    def optimize(self) -> None:
        """Compact, refresh the BM25 index and, above a size, build an approximate vector index.

        Where an id is stored more than once, the last one written stays.
        """
