"""The step that lets a reranker reorder documents of each query.

Knows the contracts of a store and of a reranker. Where the reranker fails, the answer is that of
the search without it, and says so.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from thought1.contracts import Reranker, Store
from thought1.search.found import Found
from thought1.search.guided import guided
from thought1.search.options import SearchOptions
from thought1.types import LeftOut, Ranking, Reranked, Thought1Error

logger = logging.getLogger(__name__)

PATIENCE = 3
"""Queries in a row for which a reranker may fail before it is no longer called."""


def check_guide(reranker: Reranker, options: SearchOptions) -> None:
    """Raises Thought1Error where the reranker is to guide the search and cannot."""
    if options.rerank_guided and not reranker.pointwise:
        raise Thought1Error(
            "a reranker that orders documents which it reads together cannot guide a search: use "
            "one that scores one document at a time"
        )


class _Failed(Exception):
    """A reranker gave nothing of use; the text says why."""


@dataclass(frozen=True, slots=True)
class Rerank:
    """Documents of each ranking in the order of a reranker, fused with the search's: the first
    ones, or those of a walk that the reranker guides.

    Raises:
        Thought1Error: a reranker that compares documents with each other is to guide.
    """

    store: Store
    reranker: Reranker
    options: SearchOptions
    name: str = "rerank"

    def __post_init__(self) -> None:
        check_guide(self.reranker, self.options)

    def __call__(self, found: Found) -> None:
        """Replaces `rankings`; adds to the counts of calls and tokens, and to `left_out`."""
        failed = 0
        rankings = list(found.rankings)
        for place, (query, ranking) in enumerate(zip(found.queries, rankings, strict=True)):
            if not ranking:
                continue
            if failed == PATIENCE:
                reason = f"{self.reranker.name} has failed for {PATIENCE} queries in a row"
                found.left_out[place] = LeftOut(self.name, reason)
                continue
            reading = _Reading(self.store, self.reranker, query)
            try:
                rankings[place] = self._reordered(reading, ranking)
                failed = 0
            except _Failed as error:
                failed += 1
                found.left_out[place] = LeftOut(self.name, str(error))
            found.rerank_calls += reading.calls
            found.rerank_tokens += reading.tokens
        found.rankings = rankings

    def _reordered(self, reading: "_Reading", ranking: Ranking) -> Ranking:
        depth = self.options.rerank_depth
        if self.options.rerank_guided:
            known = guided(self.store, reading, ranking, depth, self.options.where)
        else:
            given = reading([id_ for id_, _ in ranking[:depth]])
            known = [(id_, score) for id_, score in ranking[:depth] if id_ in given]
        if not known:
            return ranking
        scores = [reading.scores[id_] for id_, _ in known]
        behind = [(id_, score) for id_, score in ranking if id_ not in reading.scores]
        return fused_scores(known, scores, self.options.rerank_weight, behind)


@dataclass
class _Reading:
    """What a reranker says about documents, in one call or several, and what that cost."""

    store: Store
    reranker: Reranker
    query: str
    scores: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    tokens: int = 0

    def __call__(self, ids: Sequence[str]) -> dict[str, float]:
        """The scores of these documents; one without words, or deleted since, has none.

        Raises:
            _Failed: the reranker gave none.
        """
        documents = self.store.get(ids)
        known = [id_ for id_ in ids if id_ in documents and documents[id_].full_text.strip()]
        if not known:
            return {}
        given = self._given([documents[id_].full_text for id_ in known])
        self.calls += given.calls
        self.tokens += given.tokens
        scores = dict(zip(known, given.scores, strict=True))
        self.scores |= scores
        return scores

    def _given(self, texts: Sequence[str]) -> Reranked:
        name = self.reranker.name
        try:
            given = self.reranker.rerank(self.query, texts)
            if len(given.scores) != len(texts) or not all(map(math.isfinite, given.scores)):
                raise Thought1Error(
                    f"{name} did not give one finite score for each of {len(texts)} documents"
                )
        except Thought1Error as error:
            logger.warning("not reranked: %s", error)
            raise _Failed(str(error)) from error
        except Exception as error:  # whatever a reranker does, the search has an answer
            logger.warning("the reranker %s failed", name, exc_info=error)
            raise _Failed(f"{name} failed: {type(error).__name__}: {error}") from error
        return given


def fused_scores(
    retrieved: Ranking, scores: Sequence[float], weight: float, behind: Ranking | None = None
) -> Ranking:
    """Rank by weight * reranker + (1 - weight) * retrieval, each scaled to 0 to 1.

    Scaled by its own smallest and largest value; where all are equal, they are 1. As in Bruch, Gai
    and Ingber, "An analysis of fusion functions for hybrid retrieval", arXiv 2210.11934.

    Args:
        retrieved: best first; its order decides between equal sums.
        scores: the reranker's, one for each of them.
        behind: what was not reranked; it follows in its order, with scores from 0 down to -1.
    """
    own = _scaled([score for _, score in retrieved])
    given = _scaled(scores)
    sums = [
        (id_, weight * new + (1 - weight) * old)
        for (id_, _), old, new in zip(retrieved, own, given, strict=True)
    ]
    behind = behind or []
    rest = [(id_, -place / len(behind)) for place, (id_, _) in enumerate(behind, start=1)]
    return sorted(sums, key=lambda item: -item[1]) + rest


def _scaled(scores: Sequence[float]) -> list[float]:
    low, high = min(scores), max(scores)
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]
