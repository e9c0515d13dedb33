"""Fusion of several rankings of the same documents into one.

Knows ids and ranks only: neither where a ranking comes from nor what its scores mean.
Source: Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and
individual rank learning methods", SIGIR 2009; k = 60 is theirs.
"""

import math
from collections.abc import Sequence

from thought1.types import Ranking


def reciprocal_rank_fusion(
    rankings: Sequence[Ranking], k: int = 60, weights: Sequence[float] | None = None
) -> Ranking:
    """Score each document with the sum of weight / (k + rank) over the rankings that hold it.

    Args:
        rankings: each best first; ranks count from 1, the scores in them are not looked at. Of
            an id that a ranking repeats, the first place counts.
        k: the larger, the less the first places stand out.
        weights: one per ranking, 1 each by default.

    Returns:
        All documents, best first; equal scores in the order of their ids.

    Raises:
        ValueError: k is negative, or weights are negative or not one per ranking.
    """
    factors = [1.0] * len(rankings) if weights is None else list(weights)
    if len(factors) != len(rankings):
        raise ValueError(f"{len(rankings)} rankings but {len(factors)} weights")
    if k < 0 or any(factor < 0 for factor in factors):
        raise ValueError("k and weights must not be negative")
    terms: dict[str, list[float]] = {}
    for ranking, factor in zip(rankings, factors, strict=True):
        # dict.fromkeys keeps the first place of an id that comes twice
        for rank, id_ in enumerate(dict.fromkeys(id_ for id_, _ in ranking), start=1):
            terms.setdefault(id_, []).append(factor / (k + rank))
    # fsum rounds once, so that the order of the rankings never decides between equal documents
    scored = [(id_, math.fsum(values)) for id_, values in terms.items()]
    return sorted(scored, key=lambda item: (-item[1], item[0]))
