"""Exact search over vectors in memory, to validate and measure. Knows no store and no model."""

from collections.abc import Iterable, Sequence

import numpy as np

from thought1.types import Run, Vectors


def exact_run(
    query_ids: Iterable[str],
    queries_QD: Vectors,
    document_ids: Sequence[str],
    documents_ND: Vectors,
    depth: int,
) -> Run:
    """The `depth` documents of highest inner product for each query (row of `queries_QD`)."""
    run: Run = {}
    for query_id, vector_D in zip(query_ids, queries_QD, strict=True):
        scores_N = documents_ND @ vector_D
        best = np.argsort(-scores_N, kind="stable")[:depth]
        run[query_id] = {document_ids[i]: float(scores_N[i]) for i in best}
    return run
