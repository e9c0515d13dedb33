"""The step that lets a reranker reorder the first documents of each query.

Knows the contracts of a store and of a reranker. Where the reranker fails, the answer is that of
the search without it, and says so.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from thought1.contracts import Reranker, Store
from thought1.search.found import Found
from thought1.search.options import SearchOptions
from thought1.types import LeftOut, Ranking, Reranked, Thought1Error

logger = logging.getLogger(__name__)

PATIENCE = 3
"""Queries in a row for which a reranker may fail before it is no longer called."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """The first documents of each ranking in the order of a reranker, fused with the search's."""

    store: Store
    reranker: Reranker
    options: SearchOptions
    name: str = "rerank"

    def __call__(self, found: Found) -> None:
        """Replaces `rankings`; adds to the counts of calls and tokens, and to `left_out`."""
        depth, failed = self.options.rerank_depth, 0
        first = [ranking[:depth] for ranking in found.rankings]
        documents = self.store.get([id_ for ranking in first for id_, _ in ranking])
        rankings = list(found.rankings)
        for place, (query, ranking) in enumerate(zip(found.queries, rankings, strict=True)):
            # A document may have been deleted since.
            known = [(id_, score) for id_, score in ranking[:depth] if id_ in documents]
            if not known:
                continue
            if failed == PATIENCE:
                reason = f"{self.reranker.name} has failed for {PATIENCE} queries in a row"
                found.left_out[place] = LeftOut(self.name, reason)
                continue
            try:
                given = self._ask(query, [documents[id_].full_text for id_, _ in known])
            except Exception as error:  # whatever a reranker does, the search has an answer
                failed += 1
                found.left_out[place] = LeftOut(self.name, self._told(error))
                continue
            failed = 0
            found.rerank_calls += given.calls
            found.rerank_tokens += given.tokens
            weight = self.options.rerank_weight
            rankings[place] = fused_scores(known, given.scores, weight, ranking[depth:])
        found.rankings = rankings

    def _ask(self, query: str, texts: Sequence[str]) -> Reranked:
        given = self.reranker.rerank(query, texts)
        if len(given.scores) != len(texts) or not all(map(math.isfinite, given.scores)):
            raise Thought1Error(
                f"{self.reranker.name} did not give one finite score for each of "
                f"{len(texts)} documents"
            )
        return given

    def _told(self, error: Exception) -> str:
        if not isinstance(error, Thought1Error):
            logger.warning("the reranker %s failed", self.reranker.name, exc_info=error)
            return f"{self.reranker.name} failed: {type(error).__name__}: {error}"
        logger.warning("not reranked: %s", error)
        return str(error)


def fused_scores(
    retrieved: Ranking, scores: Sequence[float], weight: float, behind: Ranking | None = None
) -> Ranking:
    """Rank by weight * reranker + (1 - weight) * retrieval, each scaled to 0 to 1.

    Scaled by its own smallest and largest value; where all are equal, they are 1. As in Bruch, Gai
    and Ingber, "An analysis of fusion functions for hybrid retrieval", arXiv 2210.11934.

    Args:
        retrieved: best first; its order decides between equal sums.
        scores: the reranker's, one for each of them.
        behind: what was not reranked; it follows in its order, with scores below 0.
    """
    own = _scaled([score for _, score in retrieved])
    given = _scaled(scores)
    sums = [
        (id_, weight * new + (1 - weight) * old)
        for (id_, _), old, new in zip(retrieved, own, given, strict=True)
    ]
    rest = [(id_, -float(place)) for place, (id_, _) in enumerate(behind or [], start=1)]
    return sorted(sums, key=lambda item: -item[1]) + rest


def _scaled(scores: Sequence[float]) -> list[float]:
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]
