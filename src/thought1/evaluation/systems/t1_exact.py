"""T1 by exact search, without an index: queries come with an instruction, as in BRIGHT.

Document vectors may come from a cache; queries are always thought about, because a result holds
their thoughts.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thought1.data.hashing import hash_json
from thought1.evaluation.systems.dense import DenseSystem, QueryVectors
from thought1.evaluation.systems.t1_index import facts_of
from thought1.evaluation.systems.vector_cache import Ingredients, VectorCache
from thought1.index import FORMAT
from thought1.search.options import SearchOptions
from thought1.t1 import T1
from thought1.types import Vectors

OFFICIAL = "official"
"""The instructions that no name has to mention."""
_NAMED = (OFFICIAL, "generic", "mteb")


@dataclass(frozen=True, slots=True)
class T1TextEncoder:
    """A T1 model; `budget` is the maximum length of a thought, None the checkpoint's own."""

    model: T1
    budget: int | None = None
    cache: VectorCache | None = None
    """Of document vectors."""
    instruction: str | None = None
    """Given with the queries; None is the checkpoint's own."""

    def encode_queries(self, texts: Sequence[str]) -> QueryVectors:
        """Vectors (n, d) of queries, read after their thoughts."""
        queries = list(texts)
        thoughts = self.model.think(
            queries,
            budget=self.budget,
            sampling=self.model.greedy,
            instruction=self.instruction,
        )
        vectors = np.array([thought.vector for thought in thoughts], np.float32)
        tokens = self.model.count_prompt_tokens(queries, instruction=self.instruction)
        return QueryVectors(vectors.reshape(-1, self.model.dim), thoughts, tokens)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents, with the checkpoint's own instruction."""
        if self.cache is None:
            return self._encode(texts)
        return self.cache.vectors(self._ingredients(), texts, self._encode)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        return np.asarray(self.model.encode_document(list(texts)), np.float32)

    def _ingredients(self) -> Ingredients:
        """Everything but the texts that decides a document's vector."""
        return {
            "side": "document",
            "dtype": str(self.model.checkpoint.model.dtype),
            **self.model.identities(FORMAT, "")[0],
        }


def exact_system(
    model: T1, instruction: str, choice: str, budget: int | None, cache: VectorCache | None = None
) -> DenseSystem:
    """T1 with one instruction.

    Args:
        instruction: given with the queries.
        choice: what the user named it by: official, generic, mteb, or the instruction itself; it
            keeps the results of one model with several instructions apart.
        budget: maximum tokens of a thought; None is the checkpoint's own.
    """
    facts = facts_of(SearchOptions(think=budget, mode="dense"), model)
    named = replace(
        facts,
        name=facts.name + _suffix(choice),
        settings=hash_json([facts.settings, instruction]),
    )
    return DenseSystem(named, T1TextEncoder(model, budget, cache, instruction))


def _suffix(choice: str) -> str:
    if choice == OFFICIAL:
        return ""
    if choice in _NAMED:
        return f"-{choice}"
    return f"-{hashlib.sha256(choice.encode()).hexdigest()[:8]}"
