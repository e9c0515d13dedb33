"""Exact search over documents that come in blocks: memory does not grow with their number.

It knows vectors and ids, neither models nor files. `thought1.search.exact` is the same for vectors
that are in memory as a whole.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from thought1.types import Run, Thought1Error, Vectors

Block = tuple[Sequence[str], Vectors]
"""Ids of some documents, and their vectors (b, d)."""


class BlockwiseSearch:
    """Takes the documents block by block; `run` is the best of all so far."""

    def __init__(self, query_ids: Sequence[str], queries_QD: Vectors, depth: int) -> None:
        self._query_ids = query_ids
        self._queries_QD = queries_QD
        self._best = [_Best(depth) for _ in query_ids]
        self._ids: list[str] = []

    def add(self, ids: Sequence[str], vectors_BD: Vectors) -> None:
        """Score one block.

        Raises:
            Thought1Error: a vector holds something that is not a number.
        """
        scores_QB = self._queries_QD @ vectors_BD.T
        if not np.isfinite(scores_QB).all():
            raise Thought1Error(
                "a query or document vector holds a value that is not a finite number: "
                "nothing can be ranked by it"
            )
        for row, scores_B in zip(self._best, scores_QB, strict=True):
            row.add(scores_B, len(self._ids))
        self._ids += ids

    def run(self) -> Run:
        """The documents of highest inner product for each query, best first."""
        return {
            query: {self._ids[place]: float(score) for place, score in row.ranked()}
            for query, row in zip(self._query_ids, self._best, strict=True)
        }


def blockwise_run(
    query_ids: Sequence[str], queries_QD: Vectors, blocks: Iterable[Block], depth: int
) -> Run:
    """The `depth` documents of highest inner product for each query, best first.

    Equal scores keep the order of the documents, at the cut too, as a stable sort of all scores
    does. In memory at a time: one block, its scores (q, b), and `depth` candidates of each query.

    Raises:
        Thought1Error: a vector holds something that is not a number.
    """
    search = BlockwiseSearch(query_ids, queries_QD, depth)
    for ids, vectors_BD in blocks:
        search.add(ids, vectors_BD)
    return search.run()


class _Best:
    """The best documents of one query so far, by falling score, then by place."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.scores = np.empty(0, np.float32)
        self.places = np.empty(0, np.int64)

    def add(self, scores_B: npt.NDArray[np.float32], offset: int) -> None:
        if len(self.scores) < self.depth:
            chosen = np.arange(len(scores_B))
        else:  # an equal score comes later, and so loses
            chosen = np.flatnonzero(scores_B > self.scores[-1])
        scores = np.concatenate([self.scores, scores_B[chosen]])
        places = np.concatenate([self.places, chosen + offset])
        kept = np.argsort(-scores, kind="stable")[: self.depth]
        self.scores, self.places = scores[kept], places[kept]

    def ranked(self) -> Iterable[tuple[int, float]]:
        return zip(self.places.tolist(), self.scores.tolist(), strict=True)
