"""What BRIGHT can be asked of by vectors: a T1, and any system behind a cache of vectors.

It knows how a T1 is asked, not what is done with the vectors (`bright`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np

from thought1.evaluation.bright import BrightSystem
from thought1.evaluation.vector_cache import Ingredients, VectorCache
from thought1.t1 import T1
from thought1.types import Vectors

Side = Literal["query", "document"]


class CacheableSystem(BrightSystem, Protocol):
    """A system that can say what decides its vectors."""

    def ingredients(self, side: Side) -> Ingredients:
        """Everything but texts and instruction that decides the vectors of that side."""


@dataclass(frozen=True, slots=True)
class T1System:
    """A T1 model; `budget` is the most tokens of a thought, None the checkpoint's own."""

    model: T1
    budget: int | None = None

    def encode_queries(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Vectors (n, d) of queries behind their thoughts."""
        found = self.model.encode_query(list(texts), budget=self.budget, instruction=instruction)
        return np.asarray(found, np.float32)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents, with the checkpoint's own instruction."""
        return np.asarray(self.model.encode_document(list(texts)), np.float32)

    def ingredients(self, side: Side) -> Ingredients:
        """Weights, templates and lengths; for queries also how they are thought about."""
        settings = self.model.settings
        shared: dict[str, str | int | float | bool | None] = {
            "weights": self.model.weights_hash,
            "templates": self.model.templates_hash,
            "dtype": str(self.model.checkpoint.model.dtype),
        }
        if side == "document":
            return {**shared, "max_tokens": settings.max_document_tokens}
        thought = asdict(settings.thought)
        if self.budget is not None:
            thought["max_new_tokens"] = self.budget
        if thought["max_new_tokens"] == 0:
            thought = {"max_new_tokens": 0}  # nothing is sampled
        return {**shared, "max_tokens": settings.max_query_tokens, **thought}


@dataclass(frozen=True, slots=True)
class CachedSystem:
    """The same vectors as `system`, computed once."""

    system: CacheableSystem
    cache: VectorCache

    def encode_queries(self, texts: Sequence[str], instruction: str) -> Vectors:
        """Vectors (n, d) of queries."""
        ingredients = {
            **self.system.ingredients("query"),
            "side": "query",
            "instruction": instruction,
        }
        return self.cache.vectors(
            ingredients, texts, lambda some: self.system.encode_queries(some, instruction)
        )

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors (n, d) of documents."""
        ingredients = {**self.system.ingredients("document"), "side": "document"}
        return self.cache.vectors(ingredients, texts, self.system.encode_documents)
