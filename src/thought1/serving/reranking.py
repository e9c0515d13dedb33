"""The rerankers of a server, as one request uses them: only those that it was started with.

It knows no HTTP.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

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
            return _Held(self.loaded, partial(_unless_cancelled, asking))
        model = asking.batcher.model
        if not isinstance(model, T1):
            raise Thought1Error(f"{model.name} has no language model to rerank with")
        return _Held(open_reranker(OWN, model), partial(_in_turn, asking))


Call = Callable[[], Reranked]


def _in_turn(asking: Asking, call: Call) -> Reranked:
    """Computed with a served model, hence in that model's thread."""
    found: Reranked = asking.batcher.call(call, asking.ticket)
    return found


def _unless_cancelled(asking: Asking, call: Call) -> Reranked:
    if asking.ticket.cancelled:
        raise Thought1Error("the request has ended")
    return call()


@dataclass(frozen=True, slots=True)
class _Held:
    """A reranker whose calls end with the request that they are for."""

    reranker: Reranker
    do: Callable[[Call], Reranked]

    @property
    def name(self) -> str:
        """The reranker's, as of the next two."""
        return self.reranker.name

    @property
    def pointwise(self) -> bool:
        return self.reranker.pointwise

    @property
    def weights_hash(self) -> str | None:
        return self.reranker.weights_hash

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """See `contracts.Reranker`; it may wait for its turn."""
        return self.do(lambda: self.reranker.rerank(query, documents))


def serve_reranker(name: str, spec: str) -> ServedReranker:
    """The reranker `spec`, loaded, under the name that requests give it.

    Raises:
        Thought1Error: unknown, or it cannot be loaded.
    """
    return ServedReranker(name, None if spec == OWN else open_reranker(spec))
