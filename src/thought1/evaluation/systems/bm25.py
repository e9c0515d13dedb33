"""BM25 as a system; the two kinds of scores are in `bm25_scores`.

The texts are in memory. A document that shares no word with the query is not in its ranking.
"""

from collections.abc import Callable, Mapping

from thought1.evaluation.results.provenance import version_of
from thought1.evaluation.systems.base import (
    Answers,
    Bars,
    Documents,
    SystemFacts,
    SystemOptions,
    no_bars,
    unknown_system,
)
from thought1.evaluation.systems.bm25_scores import (
    PlainBM25,
    QueryBM25,
    WordScores,
    best,
    check_packages,
)
from thought1.evaluation.systems.clock import Clock
from thought1.types import Receipt, Run


class BM25System:
    """Ranks by the words that queries and documents share."""

    def __init__(self, facts: SystemFacts, kind: Callable[[], WordScores]) -> None:
        self.facts = facts
        self._kind = kind

    def rank(
        self, documents: Documents, queries: Mapping[str, str], depth: int, bars: Bars = no_bars
    ) -> Answers:
        """The `depth` best documents of each query."""
        texts = {document.id: document.full_text for document in documents}
        ids = list(texts)
        scores = self._kind()
        with bars("index", len(texts), "documents") as bar:
            scores.index(list(texts.values()))
            bar.update(len(texts))
        clock = Clock()
        run: Run = {}
        with bars("ask", len(queries), "queries") as bar:
            for query, text in queries.items():
                with clock.step("bm25"):
                    rows = best(scores.scores(text), depth)
                run[query] = {ids[row]: score for row, score in rows}
                bar.update(1)
        return Answers(run, Receipt(len(queries), 0, 0, 0, clock.milliseconds))

    def close(self) -> None:
        """Nothing is held."""


def open_plain(spec: str, options: SystemOptions) -> BM25System:
    """BM25 as bm25s has it by default."""
    return _open(spec, "bm25", PlainBM25)


def open_query(spec: str, options: SystemOptions) -> BM25System:
    """BM25 with a weighted query."""
    return _open(spec, "bm25-query", QueryBM25)


def _open(spec: str, kind: str, scores: Callable[[], WordScores]) -> BM25System:
    if spec != kind:
        raise unknown_system(spec)
    check_packages()
    facts = SystemFacts(kind, kind, f"bm25s-{version_of('bm25s')}", mode="bm25")
    return BM25System(facts, scores)
