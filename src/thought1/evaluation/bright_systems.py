"""What BRIGHT can be asked of: a T1, its document vectors from a cache if wanted, and the peers.

The peers are those of `baselines`. Here stands how each is asked, not what is done with the answer
(`bright`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from thought1.data.bright import BrightSubset
from thought1.data.hashing import hash_json
from thought1.evaluation.baselines import (
    WORDS,
    Cost,
    Embedder,
    WordRanker,
    open_embedder,
    words_facts,
)
from thought1.evaluation.bright_ranking import (
    Answers,
    QueryVectors,
    Ranker,
    Ranking,
    ranking_of_ranker,
    ranking_of_system,
)
from thought1.evaluation.indexed import facts_of
from thought1.evaluation.systems import SystemFacts
from thought1.evaluation.vector_cache import Ingredients, VectorCache
from thought1.model.encoder import Progress
from thought1.search.options import SearchOptions
from thought1.t1 import T1
from thought1.types import Receipt, Vectors

OFFICIAL = "official"
"""The instructions that no name has to mention."""
_NAMED = (OFFICIAL, "generic", "mteb")


@dataclass(frozen=True, slots=True)
class T1System:
    """A T1 model; `budget` is the most tokens of a thought, None the checkpoint's own."""

    model: T1
    budget: int | None = None
    cache: VectorCache | None = None
    """Of document vectors. Queries are always thought about: a result holds their thoughts."""

    def encode_queries(self, texts: Sequence[str], instruction: str) -> QueryVectors:
        """Vectors (n, d) of queries behind their thoughts."""
        asked = list(texts)
        thoughts = self.model.think(
            asked, budget=self.budget, sampling=self.model.greedy, instruction=instruction
        )
        vectors = np.array([thought.vector for thought in thoughts], np.float32)
        tokens = self.model.count_prompt_tokens(asked, instruction=instruction)
        return QueryVectors(vectors.reshape(-1, self.model.dim), thoughts, tokens)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents, with the checkpoint's own instruction."""
        if self.cache is None:
            return self._read(texts)
        return self.cache.vectors(self._ingredients(), texts, self._read)

    def facts(self, choice: str, sentence: str) -> SystemFacts:
        """What answers where queries come with `sentence`, which `choice` stands for."""
        facts = facts_of(SearchOptions(think=self.budget, mode="dense"), self.model)
        return replace(
            facts,
            name=facts.name + _suffix(choice),
            settings=hash_json([facts.settings, sentence]),
        )

    def _read(self, texts: Sequence[str]) -> Vectors:
        return np.asarray(self.model.encode_document(list(texts)), np.float32)

    def _ingredients(self) -> Ingredients:
        """Everything but the texts that decides a document's vector."""
        return {
            "side": "document",
            "dtype": str(self.model.checkpoint.model.dtype),
            **self.model.checkpoint.identity,
        }


@dataclass(frozen=True, slots=True)
class PeerSystem:
    """A peer with vectors; it has its own prompts, and no instruction reaches it."""

    embedder: Embedder

    def encode_queries(self, texts: Sequence[str], instruction: str) -> QueryVectors:
        """Vectors (n, d) of queries."""
        before = self.embedder.tokens
        vectors = self.embedder.embed_queries(texts)
        return QueryVectors(vectors, prompt_tokens=self.embedder.tokens - before)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents."""
        return self.embedder.embed_documents(texts)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A system that BRIGHT is asked of."""

    facts: Callable[[str], SystemFacts]
    """What answers, for the sentence that comes with the queries of a subset."""
    ranking: Callable[[Callable[[BrightSubset], str], Progress], Ranking]
    """From that sentence for each subset, and a progress of documents."""
    instructed: bool
    """Whether it reads that sentence."""


def contestant_of(system: T1System, choice: str) -> Contestant:
    """A T1; `choice` is what stands for its sentences: official, generic, mteb or a text."""
    return Contestant(
        lambda sentence: system.facts(choice, sentence),
        lambda instruction, on_progress: ranking_of_system(system, instruction, on_progress),
        instructed=True,
    )


def open_peer(spec: str, *, trust_remote_code: bool = False) -> Contestant:
    """The peer that `spec` names, in the forms of `baselines`.

    Raises:
        Thought1Error: as `baselines.open_baseline`.
    """
    if spec in WORDS:
        ranking = ranking_of_ranker(bm25_ranker(spec))
        return Contestant(lambda _: words_facts(spec), lambda *_: ranking, instructed=False)
    facts, embedder = open_embedder(spec, trust_remote_code=trust_remote_code)
    peer = PeerSystem(embedder)
    return Contestant(
        lambda _: facts,
        lambda instruction, on_progress: ranking_of_system(peer, instruction, on_progress),
        instructed=False,
    )


def bm25_ranker(kind: str) -> Ranker:
    """BM25 of a kind of `WORDS`; documents without a word of the query are not ranked."""

    def rank(documents: Mapping[str, str], queries: Mapping[str, str], depth: int) -> Answers:
        words, cost = WordRanker(kind, depth), Cost()
        words.index(documents, lambda number: None)
        rankings = words.rank(list(queries.values()), cost)
        run = {query: dict(found) for query, found in zip(queries, rankings, strict=True)}
        return Answers(run, Receipt(len(queries), 0, 0, 0, cost.milliseconds))

    return rank


def _suffix(choice: str) -> str:
    """Keeps the results of one model with several instructions apart."""
    if choice == OFFICIAL:
        return ""
    if choice in _NAMED:
        return f"-{choice}"
    return f"-{hashlib.sha256(choice.encode()).hexdigest()[:8]}"
