"""Fusion of several rankings of the same documents into one: by ranks, or by scores.

Ranks: Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual
rank learning methods", SIGIR 2009; k = 60 is theirs. Scores: a convex combination of normalised
scores, as in Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", arXiv
2210.11934; that BM25 weighs by its own certainty and by its agreement with the vectors is our
addition.
"""

import math
from collections.abc import Mapping, Sequence

from thought1.types import Ranking

RANK_CONSTANT = 60
"""k of reciprocal rank fusion, its authors' own."""


def reciprocal_rank_fusion(
    rankings: Sequence[Ranking], k: int = RANK_CONSTANT, weights: Sequence[float] | None = None
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


CERTAIN_AT = 10
"""The rank whose score is compared with the first one."""


def certainty(ranking: Ranking) -> float:
    """How far BM25's best score stands out: its distance to the tenth, as a share of it.

    Near 0 where many documents match equally well, as they do by common words; 1 where fewer than
    ten documents have a word of the query; 0 for an empty ranking.
    """
    if not ranking or ranking[0][1] <= 0:
        return 0.0
    tenth = ranking[CERTAIN_AT - 1][1] if len(ranking) >= CERTAIN_AT else 0.0
    return 1 - tenth / ranking[0][1]


def _agreement(dense: Mapping[str, float], bm25: Ranking) -> float:
    """The mean of the dense scores of BM25's first ten, each weighed by its BM25 score; both scaled
    as in `score_fusion`, so that it is 0 where the vectors find none of them, and 1 at most."""
    first = bm25[:CERTAIN_AT]
    total = sum(score for _, score in first)
    return sum(score * dense.get(id_, 0.0) for id_, score in first) / total if total else 0.0


def score_fusion(
    dense: Ranking, bm25: Ranking, weights: tuple[float, float] = (1.0, 1.0)
) -> Ranking:
    """Score each document with w_d (1 - s) dense + w_b max(s, c² bm25 / 2) bm25.

    s = min(c² a, 1/2): c is BM25's certainty, a its agreement with the dense ranking. Words that
    lead elsewhere than the vectors add the document that they single out, and little else.

    `dense` is scaled to 0 to 1 between the last and the first of its ranking. Of a BM25 score the
    last of the ranking (0 in one of fewer than ten) is taken off, then it is divided by the first
    one: where all match alike, BM25 says nothing. What a ranking does not hold has 0 there; a side
    without weight adds no documents, and leaves the other one as it is.

    Args:
        dense: best first, with scores of any scale.
        bm25: best first, with scores of 0 or more.
        weights: of the two sides, 0 or more.

    Returns:
        All documents, best first; equal scores in the order of their ids.
    """
    vectors, words = dict(_min_max(dense)) if weights[0] else {}, _above_last(bm25)
    sure = certainty(bm25) ** 2
    share = min(sure * _agreement(vectors, words), 0.5) if weights[0] else 1.0
    terms = {id_: weights[0] * (1 - share) * score for id_, score in vectors.items()}
    for id_, score in words if weights[1] else ():
        term = weights[1] * max(share, sure * score / 2) * score
        terms[id_] = terms.get(id_, 0.0) + term
    return sorted(terms.items(), key=lambda item: (-item[1], item[0]))


def _min_max(ranking: Ranking) -> Ranking:
    if not ranking:
        return []
    last = ranking[-1][1]
    span = ranking[0][1] - last
    return [(id_, (score - last) / span if span else 1.0) for id_, score in ranking]


def _above_last(ranking: Ranking) -> Ranking:
    if not ranking or ranking[0][1] <= 0:
        return []
    last = ranking[-1][1] if len(ranking) >= CERTAIN_AT else 0.0
    return [(id_, (score - last) / ranking[0][1]) for id_, score in ranking]
