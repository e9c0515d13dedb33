"""Exact search by the vectors of any encoder, a block of documents at a time.

In memory are the vectors of the queries, one block, and the best documents of each query so far,
however large the collection is. Knows neither judgements nor models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from thought1.evaluation.systems.base import Answers, Bars, Documents, SystemFacts, no_bars
from thought1.evaluation.systems.clock import Clock
from thought1.model.encoder import windows
from thought1.search.blockwise import BlockwiseSearch
from thought1.types import Receipt, Thought, Vectors

BLOCK = 2048
"""Documents whose texts and vectors are in memory at a time."""


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """What an encoder makes of queries."""

    vectors: Vectors
    """Shape (n, d)."""
    thoughts: Sequence[Thought] = ()
    """One for each query; none from an encoder that cannot think."""
    prompt_tokens: int = 0
    """Of all queries, as far as they are counted."""


class TextEncoder(Protocol):
    """Texts as vectors whose inner product is the score."""

    def encode_queries(self, texts: Sequence[str]) -> QueryVectors:
        """Vectors (n, d) of queries."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents."""


class CountingEmbedder(Protocol):
    """Texts as vectors (n, d), L2-normalised float32, from a model that counts its tokens."""

    tokens: int
    """Of all queries so far, as far as they are counted."""

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries."""


@dataclass(frozen=True, slots=True)
class EmbedderEncoder:
    """An embedder as an encoder; it has its own prompts and does not think."""

    embedder: CountingEmbedder

    def encode_queries(self, texts: Sequence[str]) -> QueryVectors:
        """Vectors (n, d) of queries."""
        before = self.embedder.tokens
        vectors = self.embedder.embed_queries(texts)
        return QueryVectors(vectors, prompt_tokens=self.embedder.tokens - before)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents."""
        return self.embedder.embed_documents(texts)


class DenseSystem:
    """Ranks by the inner product of vectors; equal scores keep the order of the documents."""

    def __init__(self, facts: SystemFacts, encoder: TextEncoder) -> None:
        self.facts = facts
        self._encoder = encoder

    def rank(
        self, documents: Documents, queries: Mapping[str, str], depth: int, bars: Bars = no_bars
    ) -> Answers:
        """The `depth` best documents of each query; the queries are encoded first."""
        clock, ids = Clock(), list(queries)
        with bars("ask", len(ids), "queries") as bar:
            with clock.step("embed"):
                encoded = self._encoder.encode_queries(list(queries.values()))
            bar.update(len(ids))
        search = BlockwiseSearch(ids, encoded.vectors, depth)
        with bars("index", documents.size, "documents") as bar:
            for window in windows(documents, BLOCK):
                vectors_BD = self._encoder.encode_documents([one.full_text for one in window])
                with clock.step("dense"):
                    search.add([one.id for one in window], vectors_BD)
                bar.update(len(window))
        return Answers(search.run(), _receipt(encoded, clock, len(ids)), _thoughts(ids, encoded))

    def close(self) -> None:
        """Nothing is held."""


def _receipt(encoded: QueryVectors, clock: Clock, queries: int) -> Receipt:
    thoughts = encoded.thoughts
    step = "think" if thoughts else "embed"
    milliseconds = {step: clock.milliseconds["embed"], "dense": clock.milliseconds["dense"]}
    tokens = sum(len(thought.token_ids) for thought in thoughts)
    forced = sum(thought.forced for thought in thoughts)
    return Receipt(queries, encoded.prompt_tokens, tokens, forced, milliseconds)


def _thoughts(ids: Sequence[str], encoded: QueryVectors) -> dict[str, tuple[Thought]]:
    """Those that were thought: at budget 0 there is a vector, and no thought."""
    if not encoded.thoughts:
        return {}
    pairs = zip(ids, encoded.thoughts, strict=True)
    return {query: (thought,) for query, thought in pairs if thought.finish_reason != "none"}
