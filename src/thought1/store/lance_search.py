"""One search in a LanceDB table, by vector or by BM25. Knows no commits and no other process.

`condition` is SQL, empty for none; it is part of the search, so that k results come back. Equal
scores come in the order of ids, but which of them make the first k is left open.
"""

import math
from typing import Any

from lancedb.query import MatchQuery

from thought1.types import Ranking, Vectors

PROBED_SHARE = 0.2
"""Share of the partitions that an approximate search reads. Measured on 11,752 MiniLM vectors of
EntailmentBank in 108 partitions: 0.991 of the exact top 10 and 0.965 of the exact top 100."""


def partitions(rows: int) -> int:
    """How many partitions a vector index over this many rows has."""
    return max(1, round(math.sqrt(rows)))


def nearest(table: Any, vectors: Vectors, k: int, condition: str) -> list[Ranking]:
    """The k rows of highest cosine similarity for each of the vectors (n, d), n > 0.

    Exact where the table has no vector index, and with a condition.
    """
    search = table.search(vectors).distance_type("cosine")
    if condition:
        # The nearest of the few that match may be in any partition.
        search = search.bypass_vector_index().where(condition, prefilter=True)
    else:
        probes = math.ceil(PROBED_SHARE * partitions(table.count_rows()))
        search = search.minimum_nprobes(probes).maximum_nprobes(0)  # 0: on, until k are found
    found = search.select(["id", "_distance"]).limit(k).to_arrow()
    # LanceDB leaves this column out where there is one query only
    queries = found["query_index"].to_pylist() if len(vectors) > 1 else [0] * len(found)
    columns = (queries, found["id"].to_pylist(), found["_distance"].to_pylist())
    rankings: list[Ranking] = [[] for _ in vectors]
    for query, id_, distance in zip(*columns, strict=True):
        rankings[query].append((id_, 1.0 - distance))
    return [_sorted(ranking) for ranking in rankings]


def matching(table: Any, query: str, k: int, condition: str) -> Ranking:
    """The k best rows by BM25 over title and text; rows without any word of the query are out."""
    words = query.encode("utf-8", "replace").decode()
    # MatchQuery, because a bare string could be read as syntax
    match = MatchQuery(words, "body")  # type: ignore[call-arg]  # its defaults are not typed
    search = table.search(match, query_type="fts")
    if condition:
        search = search.where(condition, prefilter=True)
    found = search.select(["id", "_score"]).limit(k).to_arrow()
    return _sorted(list(zip(found["id"].to_pylist(), found["_score"].to_pylist(), strict=True)))


def _sorted(ranking: Ranking) -> Ranking:
    return sorted(ranking, key=lambda item: (-item[1], item[0]))
