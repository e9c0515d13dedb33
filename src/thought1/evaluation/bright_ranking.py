"""From a subset of BRIGHT to a ranking of its documents, with what the ranking cost.

Knows neither protocols nor files; the systems behind it are in `bright_systems`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from thought1.data.bright import BrightSubset
from thought1.model.encoder import Progress, windows
from thought1.search.blockwise import BlockwiseSearch
from thought1.types import Receipt, Run, Thought, Vectors

BLOCK = 2048
"""Documents whose texts and vectors are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was ranked for the queries of a subset."""

    run: Run
    receipt: Receipt
    """The documents' share, their encoding or indexing, is not in it."""
    thoughts: Mapping[str, Thought] = field(default_factory=dict)
    """Query id -> what was thought; nothing where the system does not think."""


Ranker = Callable[[Mapping[str, str], Mapping[str, str], int], Answers]
"""Texts of documents by id, texts of queries by id, depth -> the best documents of each query."""

Ranking = Callable[[BrightSubset, int], Answers]
"""A subset, a depth -> for each query at least so many documents, nothing excluded."""


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """What a system makes of queries."""

    vectors: Vectors
    """Shape (n, d)."""
    thoughts: Sequence[Thought] = ()
    """One for each query; none from a system that does not think."""
    prompt_tokens: int = 0
    """Of all queries, as far as they are counted."""


class BrightSystem(Protocol):
    """What can be evaluated by its vectors."""

    def encode_queries(self, texts: Sequence[str], instruction: str) -> QueryVectors:
        """Vectors (n, d) of queries."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents."""


def ranking_of_system(
    system: BrightSystem,
    instruction: Callable[[BrightSubset], str],
    on_progress: Progress = lambda number: None,
) -> Ranking:
    """Exact search by the system's vectors; `instruction` gives the sentence for a subset."""

    def rank(subset: BrightSubset, depth: int) -> Answers:
        start = time.perf_counter()
        texts = [query.text for query in subset.queries]
        asked = system.encode_queries(texts, instruction(subset))
        step = "think" if asked.thoughts else "embed"
        spent = {step: _milliseconds_since(start), "dense": 0.0}
        ids = [query.id for query in subset.queries]
        search = BlockwiseSearch(ids, asked.vectors, depth)
        for window in windows(subset.documents(), BLOCK):
            vectors_BD = system.encode_documents([document.text for document in window])
            start = time.perf_counter()
            search.add([document.id for document in window], vectors_BD)
            spent["dense"] += _milliseconds_since(start)
            on_progress(len(window))
        lengths = [len(thought.token_ids) for thought in asked.thoughts]
        forced = sum(thought.forced for thought in asked.thoughts)
        receipt = Receipt(len(ids), asked.prompt_tokens, sum(lengths), forced, spent)
        thoughts = dict(zip(ids, asked.thoughts, strict=True)) if asked.thoughts else {}
        return Answers(search.run(), receipt, thoughts)

    return rank


def ranking_of_ranker(ranker: Ranker) -> Ranking:
    """A function of texts (BM25, ...); the texts of a whole subset are in memory."""

    def rank(subset: BrightSubset, depth: int) -> Answers:
        documents = {document.id: document.text for document in subset.documents()}
        return ranker(documents, {query.id: query.text for query in subset.queries}, depth)

    return rank


def _milliseconds_since(start: float) -> float:
    return 1000 * (time.perf_counter() - start)
