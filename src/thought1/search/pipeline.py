"""A query's way from text to hits: think, search, fuse, fetch; and the receipt of what it cost.

Knows the contracts of a store and of what thinks, and no implementation of either.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np

from thought1.search.fuse import reciprocal_rank_fusion
from thought1.types import (
    Document,
    Filter,
    Hit,
    Ranking,
    Receipt,
    SearchResult,
    Store,
    Thought,
    Thought1Error,
    Vectors,
)

Mode = Literal["hybrid", "dense", "bm25"]

MAX_K = 1_000_000
"""Most hits of one query: their texts are all in memory, and no reader asks for more."""

HYBRID_DEPTH = 100
"""Documents that hybrid search takes from each side before fusing, or k where k is larger."""


class Thinker(Protocol):
    """The query side of a model."""

    def think(self, queries: Sequence[str], *, budget: int | None = None) -> list[Thought]:
        """A thought with its vector (d,) for each query.

        At most `budget` tokens each; None is the model's own budget. At 0 nothing is thought:
        the thought is empty, ends with "none", and the vector is the bare query's.
        """

    def count_prompt_tokens(self, queries: Sequence[str]) -> int:
        """Tokens of the prompts of these queries together."""


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How to search.

    Raises:
        Thought1Error: a value is out of range, or thinking is asked of a search without a model.
    """

    k: int = 10
    """Most hits per query."""
    mode: Mode = "hybrid"
    """By vector and BM25, fused by reciprocal rank; by vector; or by BM25, without the model."""
    think: int | None = None
    """Most tokens of a thought; None is the model's own budget, 0 is not thinking."""
    where: Filter | None = None
    """Conditions on metadata."""

    def __post_init__(self) -> None:
        if not isinstance(self.k, int | np.integer) or not 1 <= self.k <= MAX_K:
            raise Thought1Error(f"k must be a whole number from 1 to {MAX_K:,}, not {self.k}")
        if self.mode not in get_args(Mode):
            modes = ", ".join(get_args(Mode))
            raise Thought1Error(f"unknown search mode {self.mode!r}; known modes: {modes}")
        if self.think is not None and self.think < 0:
            raise Thought1Error(f"a thought has 0 tokens or more, not {self.think}")
        if self.think and self.mode == "bm25":
            raise Thought1Error("bm25 does not think; use the mode hybrid or dense")


def search_many(
    store: Store,
    model: Thinker,
    queries: Sequence[str],
    options: SearchOptions,
    thoughts: Sequence[Thought] | None = None,
) -> tuple[list[SearchResult], Receipt]:
    """Answer queries, and say what that cost.

    Args:
        thoughts: one per query, with their vectors: search with these, think no new ones. The
            receipt then counts no tokens.

    Returns:
        One result per query, in their order. The score of a hit is the cosine similarity
        (dense), BM25, or the fusion score (hybrid).

    Raises:
        Thought1Error: the filter is wrong.
        ValueError: thoughts do not fit the queries, or have no vector.
    """
    clock = _Clock()
    asked = list(queries)
    behind, receipt = _thoughts(model, asked, options, thoughts, clock)
    rankings = _rank(store, asked, behind, options, clock)
    with clock("fetch"):
        documents = store.get([id_ for ranking in rankings for id_, _ in ranking])
    results = [
        SearchResult(query, _hits(ranking, documents), _shown(thought))
        for query, ranking, thought in zip(asked, rankings, behind, strict=True)
    ]
    return results, receipt


@dataclass(slots=True)
class _Clock:
    milliseconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.milliseconds[step] = 1000 * (time.perf_counter() - start)


def _thoughts(
    model: Thinker,
    queries: list[str],
    options: SearchOptions,
    given: Sequence[Thought] | None,
    clock: _Clock,
) -> tuple[Sequence[Thought | None], Receipt]:
    """The thought behind each query (None in mode bm25), and the receipt, whose clock runs on."""
    if given is not None and len(given) != len(queries):
        raise ValueError(f"{len(queries)} queries but {len(given)} thoughts")
    nothing = Receipt(len(queries), 0, 0, 0, clock.milliseconds)
    if options.mode == "bm25":
        return [None] * len(queries), nothing
    if given is not None:
        return given, nothing
    with clock("think"):
        thoughts = model.think(queries, budget=options.think)
        prompt_tokens = model.count_prompt_tokens(queries)
    thought_tokens = sum(len(thought.token_ids) for thought in thoughts)
    forced = sum(thought.forced for thought in thoughts)
    return thoughts, Receipt(
        len(queries), prompt_tokens, thought_tokens, forced, clock.milliseconds
    )


def _rank(
    store: Store,
    queries: list[str],
    thoughts: Sequence[Thought | None],
    options: SearchOptions,
    clock: _Clock,
) -> list[Ranking]:
    if not queries:  # no vectors to stack
        return []
    depth = max(options.k, HYBRID_DEPTH) if options.mode == "hybrid" else options.k
    sides: list[list[Ranking]] = []
    if options.mode != "bm25":
        vectors = _vectors(thoughts)
        with clock("dense"):
            sides.append(store.search_dense(vectors, depth, options.where))
    if options.mode != "dense":
        with clock("bm25"):
            sides.append(store.search_bm25(queries, depth, options.where))
    if options.mode != "hybrid":
        return sides[0]
    with clock("fuse"):
        pairs = zip(*sides, strict=True)
        return [reciprocal_rank_fusion(pair)[: options.k] for pair in pairs]


def _vectors(thoughts: Sequence[Thought | None]) -> Vectors:
    rows = [thought.vector for thought in thoughts if thought and thought.vector is not None]
    if len(rows) != len(thoughts):
        raise ValueError("a thought without its vector cannot be searched with")
    return np.stack(rows)


def _hits(ranking: Ranking, documents: Mapping[str, Document]) -> tuple[Hit, ...]:
    # A document may have been deleted between search and fetch
    found = [(documents[id_], score) for id_, score in ranking if id_ in documents]
    return tuple(
        Hit(document.id, score, rank, document.text, document.title, document.metadata)
        for rank, (document, score) in enumerate(found, start=1)
    )


def _shown(thought: Thought | None) -> Thought | None:
    return None if thought is None or thought.finish_reason == "none" else thought
