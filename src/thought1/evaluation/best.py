"""The k best documents of each query while documents pass by, a window at a time: exact search
whose memory does not grow with the documents, but for one bit for each query and document where
not every query may find every document.

Knows scores and positions; what computes them, and who asks, is the business of the caller.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from thought1.types import Run, Thought1Error, Vectors

logger = logging.getLogger(__name__)


class Allowed:
    """Which documents each query may find, one bit each.

    Args:
        query_ids: Q queries.
        document_ids: N documents, in the order of their windows.
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

    def window(self, start: int, size: int) -> npt.NDArray[np.bool_]:
        """(Q, size) for the documents from `start` on, whatever byte it falls into."""
        first = start // 8
        bits = np.unpackbits(self.bits[:, first : (start + size + 7) // 8], axis=1)
        return bits[:, start - 8 * first :][:, :size].astype(bool)


class Best:
    """The k best documents of each query so far.

    Where equal scores meet at the cut to k, either document may stay.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.k = k
        self.scores_QK = np.zeros((queries, 0), np.float32)
        self.positions_QK = np.zeros((queries, 0), np.int64)

    def add(self, scores_QW: Vectors, start: int) -> None:
        """Scores of the documents from `start` on; -inf is one that may not be found."""
        window_QW = np.broadcast_to(start + np.arange(scores_QW.shape[1]), scores_QW.shape)
        scores = np.concatenate([self.scores_QK, scores_QW], axis=1)
        positions = np.concatenate([self.positions_QK, window_QW], axis=1)
        if scores.shape[1] > self.k:
            kept = np.argpartition(-scores, self.k - 1, axis=1)[:, : self.k]
            scores = np.take_along_axis(scores, kept, axis=1)
            positions = np.take_along_axis(positions, kept, axis=1)
        self.scores_QK, self.positions_QK = scores, positions

    def run(self, query_ids: Sequence[str], document_ids: Sequence[str]) -> Run:
        """Best first."""
        run: Run = {}
        for row, query in enumerate(query_ids):
            order = np.argsort(-self.scores_QK[row], kind="stable")
            pairs = [(self.positions_QK[row, i], float(self.scores_QK[row, i])) for i in order]
            run[query] = {document_ids[i]: score for i, score in pairs if score > -np.inf}
        return run
