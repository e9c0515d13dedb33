"""Exact search over documents that come in blocks: memory does not grow with their number, but for
their ids, and one bit for each query and document where not every query may find every document.

It knows vectors and ids, neither models nor files. `thought1.search.exact` is the same for vectors
that are in memory as a whole.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from thought1.types import Run, Thought1Error, Vectors

logger = logging.getLogger(__name__)

Block = tuple[Sequence[str], Vectors]
"""Ids of some documents, and their vectors (b, d)."""


class Allowed:
    """Which documents each query may find, one bit each.

    Args:
        query_ids: Q queries.
        document_ids: N documents, in the order of their blocks.
        top_ranked: query id -> what it may find; a query that is not in it finds nothing.

    Raises:
        Thought1Error: a document is unknown.
    """

    def __init__(
        self,
        query_ids: Sequence[str],
        document_ids: Sequence[str],
        top_ranked: Mapping[str, Sequence[str]],
    ) -> None:
        positions = {document: i for i, document in enumerate(document_ids)}
        rows = []
        for query in query_ids:
            if query not in top_ranked:
                logger.warning("top_ranked lacks query %r, which therefore finds nothing", query)
            row_N = np.zeros(len(document_ids), bool)
            try:
                row_N[[positions[document] for document in top_ranked.get(query, ())]] = True
            except KeyError as error:
                raise Thought1Error(
                    f"top_ranked of query {query!r} names document {error}, which the corpus lacks"
                ) from None
            rows.append(np.packbits(row_N))
        self.bits = np.array(rows)

    def block(self, start: int, size: int) -> npt.NDArray[np.bool_]:
        """(Q, size) for the documents from `start` on, whatever byte it falls into."""
        first = start // 8
        bits = np.unpackbits(self.bits[:, first : (start + size + 7) // 8], axis=1)
        return bits[:, start - 8 * first :][:, :size].astype(bool)


class BlockwiseSearch:
    """Takes the documents block by block; `run` is the best of all so far.

    Equal scores keep the order of the documents, at the cut too, as a stable sort of all scores
    does. In memory at a time: one block, its scores (q, b), and `depth` candidates of each query.
    """

    def __init__(
        self,
        query_ids: Sequence[str],
        queries_QD: Vectors,
        depth: int,
        allowed: Allowed | None = None,
    ) -> None:
        self._query_ids = query_ids
        self._queries_QD = queries_QD
        self._allowed = allowed
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
        if self._allowed is not None:
            scores_QB[~self._allowed.block(len(self._ids), len(ids))] = -np.inf
        for row, scores_B in zip(self._best, scores_QB, strict=True):
            row.add(scores_B, len(self._ids))
        self._ids += ids

    def run(self) -> Run:
        """The documents of highest inner product for each query, best first."""
        return {
            query: {self._ids[place]: score for place, score in row.ranked()}
            for query, row in zip(self._query_ids, self._best, strict=True)
        }


def blockwise_run(
    query_ids: Sequence[str], queries_QD: Vectors, blocks: Iterable[Block], depth: int
) -> Run:
    """The `depth` documents of highest inner product for each query, best first.

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
        """A score of -inf is a document that may not be found."""
        full = len(self.scores) == self.depth
        # An equal score comes later, and so loses.
        chosen = np.flatnonzero(scores_B > (self.scores[-1] if full else -np.inf))
        scores = np.concatenate([self.scores, scores_B[chosen]])
        places = np.concatenate([self.places, chosen + offset])
        kept = np.argsort(-scores, kind="stable")[: self.depth]
        self.scores, self.places = scores[kept], places[kept]

    def ranked(self) -> Iterable[tuple[int, float]]:
        return zip(self.places.tolist(), self.scores.tolist(), strict=True)
