"""T1 itself as a reranker: how likely its language model finds the question after a document.

Query likelihood: Ponte and Croft, "A language modeling approach to information retrieval", SIGIR
1998; with a language model that was trained for nothing of the kind: Sachan et al., "Improving
passage retrieval with zero-shot question generation" (UPR), arXiv 2204.07496. The score is the mean
log-probability of the question's tokens, in nats. It needs no training, and reads every document
once for each query.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

from thought1.engines.likelihood import BATCH, mean_logprobs
from thought1.search.thought_cache import CachedThinker
from thought1.t1 import T1
from thought1.types import Reranked, Thought1Error

BETWEEN = "\nQuestion:\n"
"""The text between the document and the question, as in the templates of our own models."""

MAX_DOCUMENT_TOKENS = 512
"""Of a document; the rest is cut."""
MAX_QUERY_TOKENS = 256
"""Of a question; the rest is cut."""


@dataclass
class LikelihoodReranker:
    """Mean log-likelihood of the question after each document, by a T1's language model."""

    name: str
    model: T1
    _lock: Lock = field(default_factory=Lock)

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        """The likelihoods; see `contracts.Reranker`."""
        renderer = self.model.renderer
        with self._lock:
            target = renderer.text([query])[0][:MAX_QUERY_TOKENS]
            if not target:
                raise Thought1Error("an empty question has no likelihood")
            leading, between = renderer.leading, renderer.words(BETWEEN)
            room = self.model.engine.max_positions - len(leading) - len(between) - len(target)
            most = min(MAX_DOCUMENT_TOKENS, room)
            if most < 1:
                raise Thought1Error(
                    f"a question of {len(target)} tokens leaves no room for a document within the "
                    f"{self.model.engine.max_positions} positions of {self.model.name}"
                )
            contexts = [[*leading, *ids[:most], *between] for ids in renderer.text(documents)]
            scores = mean_logprobs(self.model.checkpoint.model, contexts, target)
        tokens = sum(map(len, contexts)) + len(target) * len(contexts)
        return Reranked(tuple(scores), -(-len(documents) // BATCH), tokens)


def open_likelihood(spec: str, model: object) -> LikelihoodReranker:
    """The language model named by `t1` (the index's own) or `t1:NAME`.

    Raises:
        Thought1Error: it cannot be loaded, or has no language head.
    """
    name = spec.partition(":")[2]
    own = T1.from_pretrained(name) if name else model
    own = own.model if isinstance(own, CachedThinker) else own
    if not isinstance(own, T1):
        raise Thought1Error(
            "the reranker t1 is the language model of the index's own T1, and this index has none: "
            "name one, such as t1:t1-nano"
        )
    if own.checkpoint.random_head:
        raise Thought1Error(f"{own.name} has no language head, so that no text has a likelihood")
    return LikelihoodReranker(spec, own)
