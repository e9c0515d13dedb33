"""The rerankers of a server, as one request uses them: only those that it was started with.

It knows no HTTP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thought1.contracts import Reranker
from thought1.rerank.opening import open_reranker
from thought1.serving.asking import Asking
from thought1.t1 import T1
from thought1.types import Reranked, Thought1Error

OWN = "t1"
"""The language model of whichever index is searched."""


@dataclass(frozen=True, slots=True)
class ServedReranker:
    """A reranker by the name that requests give it."""

    name: str
    loaded: Reranker | None
    """None is the language model of the index that is searched."""

    def of(self, asking: Asking) -> Reranker:
        """The reranker for one request.

        Raises:
            Thought1Error: the index's model has no language head.
        """
        if self.loaded is not None:
            return self.loaded
        model = asking.batcher.model
        if not isinstance(model, T1):
            raise Thought1Error(f"{model.name} has no language model to rerank with")
        return QueuedReranker(asking, open_reranker(OWN, model))


@dataclass(frozen=True, slots=True)
class QueuedReranker:
    """A reranker that computes with a served model, hence in that model's thread."""

    asking: Asking
    reranker: Reranker

    @property
    def name(self) -> str:
        """The reranker's."""
        return self.reranker.name

    @property
    def pointwise(self) -> bool:
        """The reranker's."""
        return self.reranker.pointwise

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """See `contracts.Reranker`; it waits for its turn."""
        found: Reranked = self.asking.batcher.call(
            lambda: self.reranker.rerank(query, documents), self.asking.ticket
        )
        return found


def serve_reranker(name: str, spec: str) -> ServedReranker:
    """The reranker `spec`, loaded, under the name that requests give it.

    Raises:
        Thought1Error: unknown, or it cannot be loaded.
    """
    return ServedReranker(name, None if spec == OWN else open_reranker(spec))
