"""Several thoughts about one query: fused, or one of them chosen by what it retrieves.

Knows vectors and rankings; the steps at its end know the contracts of a store and of what thinks.
Nothing here sees a judgement.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thought1.contracts import Store
from thought1.search.found import Found, Thinker
from thought1.search.fuse import reciprocal_rank_fusion
from thought1.search.options import SearchOptions
from thought1.search.steps import depth_of, fuse, stacked
from thought1.search.vectors import fused
from thought1.types import Ranking, Vectors

PERSISTENCE = 0.9
"""p of rank-biased overlap: the first ten places weigh about 0.86 of all (Webber et al. 2010)."""

COMPARED = 50
"""Places of two rankings that are compared; later ones weigh less than 0.001 together."""


def rank_biased_overlap(first: Ranking, second: Ranking) -> float:
    """How alike two rankings are, from 0 to 1, the first places weighing most.

    Rank-biased overlap to the depth of `COMPARED` places, or of the longer ranking, divided by what
    two equal rankings of that depth reach. Source: Webber, Moffat and Zobel, "A similarity measure
    for indefinite rankings", ACM TOIS 28(4), 2010, equation 4.
    """
    depth = min(COMPARED, max(len(first), len(second)))
    seen: tuple[set[str], set[str]] = (set(), set())
    total = reached = common = 0.0
    for place in range(depth):
        for own, other, ranking in ((0, 1, first), (1, 0, second)):
            if place < len(ranking) and ranking[place][0] not in seen[own]:
                seen[own].add(ranking[place][0])
                common += ranking[place][0] in seen[other]
        weight = PERSISTENCE**place
        total, reached = total + weight * common / (place + 1), reached + weight
    return total / reached if depth else 0.0


def agreements(rankings: Sequence[Ranking]) -> list[float]:
    """The mean rank-biased overlap of each ranking with the others; 0 if there is only one."""
    count = len(rankings)
    alike = np.zeros((count, count))
    for row in range(count):
        for column in range(row):
            found = rank_biased_overlap(rankings[row], rankings[column])
            alike[row, column] = alike[column, row] = found
    return list(map(float, alike.sum(axis=1) / max(1, count - 1)))


def weighted(vectors_KD: Vectors, weights: Sequence[float]) -> Vectors:
    """The normalised weighted mean (d,); where no weight is above 0, all are equal."""
    factors_K1 = np.asarray(weights, np.float32)[:, None]
    if not factors_K1.any():
        factors_K1 = np.ones_like(factors_K1)
    mean_D: Vectors = fused((vectors_KD * factors_K1)[None])[0]
    return mean_D


def confidence(vectors_KD: Vectors) -> float:
    """The mean cosine of two of the K vectors: 1 where all thoughts lead to the same place.

    Raises:
        ValueError: there are fewer than two.
    """
    count = len(vectors_KD)
    if count < 2:
        raise ValueError("agreement needs two thoughts or more")
    total = float(np.square(vectors_KD.sum(axis=0, dtype=np.float64)).sum())
    own = float(np.square(vectors_KD, dtype=np.float64).sum())
    return (total - own) / (count * (count - 1))


@dataclass(frozen=True, slots=True)
class Confide:
    """How sure the thoughts on each query are of each other."""

    name: str = "confidence"

    def __call__(self, found: Found) -> None:
        """Fills `confidence`."""
        found.confidence = [confidence(stacked(own)) for own in found.thoughts]


@dataclass(frozen=True, slots=True)
class Combine:
    """The nearest documents by several thoughts, fused or chosen as the options say."""

    store: Store
    model: Thinker
    options: SearchOptions
    name: str = "dense"

    def __call__(self, found: Found) -> None:
        """Fills `dense`; a thought that is chosen comes first of its query's."""
        where, samples, depth = self.options.where, self.options.samples, depth_of(self.options)
        vectors_ND = stacked([thought for own in found.thoughts for thought in own])
        searched = self.store.search_dense(vectors_ND, max(depth, COMPARED), where)
        starts = range(0, len(searched), samples)
        lists = [searched[start : start + samples] for start in starts]
        rule = self.options.combine
        if rule == "rank":
            constant = self.options.fusion.rank_constant
            found.dense = [reciprocal_rank_fusion(own, constant)[:depth] for own in lists]
        elif rule == "agreement":
            weights = [agreements(own) for own in lists]
            means = [
                weighted(vectors_ND[start : start + samples], own)
                for start, own in zip(starts, weights, strict=True)
            ]
            found.dense = self.store.search_dense(np.stack(means), depth, where)
        else:
            found.dense = self._chosen(found, lists, depth)
        found.rankings = found.dense

    def _chosen(
        self, found: Found, lists: Sequence[Sequence[Ranking]], depth: int
    ) -> list[Ranking]:
        """The ranking of one thought on each query; of equally good thoughts the first."""
        if self.options.combine == "like-others":
            alike = [agreements(own) for own in lists]
        else:
            references = self._references(found)
            alike = [
                [rank_biased_overlap(ranking, reference) for ranking in own]
                for own, reference in zip(lists, references, strict=True)
            ]
        best = [max(range(len(own)), key=own.__getitem__) for own in alike]
        found.thoughts = [
            [own[place], *own[:place], *own[place + 1 :]]
            for own, place in zip(found.thoughts, best, strict=True)
        ]
        return [own[place][:depth] for own, place in zip(lists, best, strict=True)]

    def _references(self, found: Found) -> list[Ranking]:
        where = self.options.where
        if self.options.combine == "like-bm25":
            return self.store.search_bm25(found.queries, COMPARED, where)
        bare = self.model.think(found.queries, budget=0, sampling=self.model.greedy)
        return self.store.search_dense(stacked(bare), COMPARED, where)


@dataclass(frozen=True, slots=True)
class FallBack:
    """Where thoughts agree too little, words count as well: that query's search is hybrid."""

    store: Store
    options: SearchOptions
    name: str = "fall-back"

    def __call__(self, found: Found) -> None:
        """Replaces the rankings of unsure queries, and fills `fell_back`."""
        least = self.options.min_confidence
        if least is None or found.confidence is None or found.dense is None:
            raise ValueError("falling back needs a confidence to fall below, and a dense ranking")
        unsure = [place for place, sure in enumerate(found.confidence) if sure < least]
        found.fell_back = frozenset(unsure)
        if not unsure:
            return
        deep = depth_of(replace(self.options, mode="hybrid", min_confidence=None))
        queries = [found.queries[place] for place in unsure]
        by_words = self.store.search_bm25(queries, deep, self.options.where)
        found.rankings = list(found.rankings)
        for place, ranking in zip(unsure, by_words, strict=True):
            found.rankings[place] = fuse(found.dense[place], ranking, self.options.fusion)
