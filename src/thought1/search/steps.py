"""The steps of a search, each a small object: think, retrieve, fuse, fetch.

Each reads what the steps before it have found and adds its own. Knows the contracts of a store and
of what thinks, and no implementation of either; `pipeline` puts the steps together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from thought1.contracts import Store
from thought1.search.adaptive import TOP, Adaptive, Gate, Settled, signal
from thought1.search.found import Found, Thinker
from thought1.search.fuse import reciprocal_rank_fusion, score_fusion
from thought1.search.options import Fusion, SearchOptions
from thought1.search.vectors import fused
from thought1.types import (
    Checkpoints,
    Ranking,
    Stage,
    Thought,
    Vectors,
    Watched,
)

HYBRID_DEPTH = 100
"""Documents that hybrid search takes from each side before fusing, or more for a larger `k`."""

GUIDED_DEPTH = 1000
"""Documents that dense search retrieves where a reranker guides it: the walk goes beyond the first
ones, and what it reaches keeps its similarity. More of both sides would change how they are fused.
"""

GROUP_DEPTH = 10
"""Passages that are ranked for each document that is wanted, where they are grouped."""


@dataclass(frozen=True, slots=True)
class Think:
    """One thought or several, with their vectors, about each query."""

    model: Thinker
    options: SearchOptions
    name: str = "think"

    def __call__(self, found: Found) -> None:
        """Fills `thoughts` and adds to the counts of tokens."""
        samples = self.options.samples
        usual = self.model.greedy if samples == 1 else self.model.sampled
        thoughts = self.model.think(
            found.queries,
            budget=self.options.think,
            sampling=self.options.sampling or usual,
            samples=samples,
            evidence=found.evidence,
            checkpoints=self.options.checkpoints,
        )
        starts = range(0, len(thoughts), samples)
        found.thoughts = [thoughts[start : start + samples] for start in starts]
        found.prompt_tokens += self.model.count_prompt_tokens(
            found.queries, evidence=found.evidence
        )
        found.count(thoughts)


@dataclass(frozen=True, slots=True)
class Embed:
    """The vectors after thoughts from elsewhere."""

    model: Thinker
    texts: Sequence[str]
    name: str = "embed"

    def __call__(self, found: Found) -> None:
        """Fills `thoughts` and adds their tokens to those of the prompts."""
        thoughts = self.model.read_thoughts(found.queries, self.texts)
        found.thoughts = [[thought] for thought in thoughts]
        found.prompt_tokens += self.model.count_prompt_tokens(found.queries)
        found.prompt_tokens += sum(len(thought.token_ids) for thought in thoughts)


@dataclass(frozen=True, slots=True)
class Decide:
    """Which queries are thought about, by what the bare ones find."""

    options: SearchOptions
    gate: Gate
    name: str = "gate"

    def __call__(self, found: Found) -> None:
        """Fills `certain`."""
        if found.dense is None:
            raise ValueError("a gate needs the ranking of the bare query")
        words: Sequence[Ranking | None] = found.bm25 or [None] * len(found.queries)
        pairs = zip(found.dense, words, strict=True)
        found.certain = [not self.gate.opens(signal(self.gate.signal, *pair)) for pair in pairs]


@dataclass(frozen=True, slots=True)
class ThinkAdaptively:
    """A thought about each query that is not certain, until it has settled."""

    store: Store
    model: Thinker
    options: SearchOptions
    rule: Adaptive
    name: str = "think"

    def __call__(self, found: Found) -> None:
        """Replaces the `thoughts` of these queries and adds to the counts of tokens."""
        certain = found.certain or [False] * len(found.queries)
        places = [i for i, known in enumerate(certain) if not known]
        if not places:
            return
        part = Found([found.queries[i] for i in places], ())
        if found.bm25 is not None:
            part.bm25 = [found.bm25[i] for i in places]
        thoughts = self.model.think(
            part.queries,
            budget=self.options.think,
            sampling=self.options.sampling or self.model.greedy,
            checkpoints=self._checkpoints(part),
        )
        own = list(found.thoughts)
        for place, thought in zip(places, thoughts, strict=True):
            own[place] = [thought]
        found.thoughts = own
        found.prompt_tokens += self.model.count_prompt_tokens(part.queries)
        found.count(thoughts)

    def _checkpoints(self, part: Found) -> Checkpoints:
        tokens = self.rule.within(self.options.think)
        if not self.rule.stops:  # its largest checkpoint still is the budget
            return tokens[-1:]
        return Watched(tokens, Settled(self.rule, partial(self._find, part)))

    def _find(
        self, part: Found, numbers: Sequence[int], vectors: Sequence[Vectors]
    ) -> list[list[str]]:
        """The first documents of some thoughts' vectors, as the whole search ranks them."""
        at = Found([part.queries[i] for i in numbers], ())
        depth, where = depth_of(self.options), self.options.where
        at.rankings = at.dense = self.store.search_dense(np.stack(vectors), depth, where)
        if self.options.mode == "hybrid" and part.bm25 is not None:
            at.bm25 = [part.bm25[i] for i in numbers]
            Fuse(self.options)(at)
        return [[id_ for id_, _ in ranking[:TOP]] for ranking in at.rankings]


@dataclass(frozen=True, slots=True)
class Dense:
    """The nearest documents of each vector."""

    store: Store
    options: SearchOptions
    name: str = "dense"

    def __call__(self, found: Found) -> None:
        """Fills `dense`."""
        where, depth = self.options.where, depth_of(self.options)
        found.rankings = found.dense = self.store.search_dense(_vectors(found), depth, where)


@dataclass(frozen=True, slots=True)
class Bm25:
    """The documents that share words with each query."""

    store: Store
    options: SearchOptions
    name: str = "bm25"

    def __call__(self, found: Found) -> None:
        """Fills `bm25`."""
        where, depth = self.options.where, depth_of(self.options)
        found.rankings = found.bm25 = self.store.search_bm25(found.queries, depth, where)


@dataclass(frozen=True, slots=True)
class Fuse:
    """Both rankings of each query as one."""

    options: SearchOptions
    name: str = "fuse"

    def __call__(self, found: Found) -> None:
        """Makes `rankings` of `dense` and `bm25`."""
        if found.dense is None or found.bm25 is None:
            raise ValueError("fusion needs both rankings: retrieve by vector and by words first")
        pairs = zip(found.dense, found.bm25, strict=True)
        found.rankings = [fuse(dense, bm25, self.options.fusion) for dense, bm25 in pairs]


def fuse(dense: Ranking, bm25: Ranking, fusion: Fusion) -> Ranking:
    """The two rankings of one query as one."""
    weights = fusion.dense_weight, fusion.bm25_weight
    if fusion.by == "scores":
        return score_fusion(dense, bm25, weights)
    return reciprocal_rank_fusion([dense, bm25], fusion.rank_constant, weights)


@dataclass(frozen=True, slots=True)
class Stages:
    """What a search that stops at each checkpoint finds."""

    store: Store
    options: SearchOptions
    name: str = "stages"

    def __call__(self, found: Found) -> None:
        """Fills `stages`."""
        wanted = slice(self.options.offset, self.options.depth)
        stages: list[list[Stage]] = [[] for _ in found.queries]
        for place, tokens in enumerate(sorted(set(self.options.checkpoints))):
            at = replace(found, thoughts=_at(found.thoughts, place))
            Dense(self.store, self.options)(at)
            if self.options.mode == "hybrid":
                Fuse(self.options)(at)
            for own, thoughts, ranking in zip(stages, found.thoughts, at.rankings, strict=True):
                milliseconds = 1000 * max(one.checkpoints[place].seconds for one in thoughts)
                own.append(Stage(tokens, milliseconds, tuple(ranking[wanted])))
        found.stages = stages


@dataclass(frozen=True, slots=True)
class Fetch:
    """The documents of the hits that are wanted."""

    store: Store
    options: SearchOptions
    name: str = "fetch"

    def __call__(self, found: Found) -> None:
        """Cuts `rankings` to the hits wanted and fills `documents`."""
        wanted = slice(self.options.offset, self.options.depth)
        found.rankings = [ranking[wanted] for ranking in found.rankings]
        found.documents = self.store.get([id_ for ranking in found.rankings for id_, _ in ranking])


def depth_of(options: SearchOptions) -> int:
    """Documents that each side retrieves."""
    deeper = GROUP_DEPTH if options.group_by else 1
    depth = max(deeper * options.depth, options.evidence, TOP if options.adaptive else 0)
    depth = max(depth, options.rerank_depth) if options.rerank is not None else depth
    if options.mode == "hybrid" or options.min_confidence is not None:
        return max(depth, HYBRID_DEPTH)
    return max(depth, GUIDED_DEPTH) if options.rerank_guided else depth


def stacked(thoughts: Sequence[Thought]) -> Vectors:
    """The vectors (n, d) of thoughts.

    Raises:
        ValueError: there is none, or one has no vector.
    """
    vectors = [thought.vector for thought in thoughts if thought.vector is not None]
    if not thoughts or len(vectors) != len(thoughts):
        raise ValueError("a thought without its vector cannot be searched with")
    return np.stack(vectors)


def _at(thoughts: Sequence[Sequence[Thought]], place: int) -> list[list[Thought]]:
    """The thoughts with the vectors of a checkpoint."""
    return [[replace(t, vector=t.checkpoints[place].vector) for t in own] for own in thoughts]


def _vectors(found: Found) -> Vectors:
    if any(not own for own in found.thoughts):
        raise ValueError("a thought without its vector cannot be searched with")
    vectors_ND = stacked([thought for own in found.thoughts for thought in own])
    count, queries = len(vectors_ND), len(found.queries)
    if count == queries:
        return vectors_ND
    return fused(vectors_ND.reshape(queries, count // queries, -1))
