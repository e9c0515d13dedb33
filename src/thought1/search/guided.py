"""Which documents a reranker reads where it may not read all: a walk that its own scores guide.

Xu and Chen, "Beyond sequential reranking: reranker-guided search improves reasoning intensive
retrieval", arXiv 2509.07163: a greedy walk over the graph of near documents, under a fixed number
of documents that are read. The graph is the store's: the neighbours of a document are the nearest
ones of its vector. `STARTS` and `DEGREE` are our choice, before anything was measured.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from thought1.contracts import Store
from thought1.types import Filter, Ranking

STARTS = 10
"""Documents of the search that the walk begins with."""
DEGREE = 8
"""Neighbours of a document."""
Read = Callable[[Sequence[str]], Mapping[str, float]]
"""The reranker's scores of documents by id; what it cannot read is missing."""


def guided(
    store: Store, read: Read, ranking: Ranking, budget: int, where: Filter | None = None
) -> Ranking:
    """Read `budget` documents or fewer: the first ones, then neighbours of the best one so far.

    Where no document that has been read has neighbours left, the walk goes on from the search's
    next one.

    Args:
        ranking: what the search has found, best first, not empty.
        where: what neighbours must fulfil.

    Returns:
        The documents that were read, with the search's score, best first; those that it has not
        found have the score of its last.
    """
    scores: dict[str, float] = {}
    seen: set[str] = set()
    expanded: set[str] = set()

    def visit(ids: Sequence[str]) -> None:
        fresh = [id_ for id_ in ids if id_ not in seen][: budget - len(seen)]
        seen.update(fresh)
        scores.update(read(fresh) if fresh else {})

    visit([id_ for id_, _ in ranking[:STARTS]])
    while len(seen) < budget:
        if waiting := [id_ for id_ in scores if id_ not in expanded]:
            best = max(waiting, key=scores.__getitem__)
            expanded.add(best)
            visit(_neighbours(store, best, where))
        elif rest := [id_ for id_, _ in ranking if id_ not in seen]:
            visit(rest[:1])
        else:
            break
    found, least = dict(ranking), ranking[-1][1]
    return sorted(((id_, found.get(id_, least)) for id_ in scores), key=lambda item: -item[1])


def _neighbours(store: Store, id_: str, where: Filter | None) -> list[str]:
    """The nearest documents of a document, nearest first; it may be one of them."""
    vectors = store.vectors([id_])
    if id_ not in vectors:  # deleted since
        return []
    (near,) = store.search_dense(np.stack([vectors[id_]]), DEGREE + 1, where)
    return [other for other, _ in near]
