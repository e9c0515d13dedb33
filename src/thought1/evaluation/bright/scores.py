"""BRIGHT's figures: of one subset by four protocols side by side, and averaged over subsets.

Knows neither files nor models; the rankings come from `bright.run`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thought1.data.bright import EXAMPLES, LONG, SHORT, BrightQuery, BrightSubset
from thought1.evaluation.bright.protocols import PROTOCOLS
from thought1.evaluation.bright.task import DEPTH, MEASURES, added_copies, bright_task
from thought1.evaluation.measure import evaluate_protocols
from thought1.evaluation.statistics.protocol import Evaluation
from thought1.types import Run


@dataclass(frozen=True, slots=True)
class SubsetScores:
    """The figures of one subset."""

    subset: str
    documents: int
    evaluations: Mapping[str, Evaluation]
    """protocol -> values; all protocols have the same queries."""
    without_gold: int
    """Queries without a gold document, which no protocol counts."""
    missing_excluded: int
    """Excluded ids that the pool lacks: the official code stops at the first."""
    num_excluding: int
    """Queries that exclude documents of the pool."""
    num_copies: int
    """Judgements that the adjusted qrels add."""
    num_short: int
    """Queries with fewer documents after exclusion than the depth and the pool allow."""

    def to_json(self) -> dict[str, Any]:
        """Means, intervals and values by query, for each protocol; and the counts."""
        return {
            "queries": self.evaluations["official"].queries,
            "documents": self.documents,
            "without_gold": self.without_gold,
            "missing_excluded": self.missing_excluded,
            "queries_with_exclusions": self.num_excluding,
            "copies_added": self.num_copies,
            "short_rankings": self.num_short,
            "protocols": {
                name: {**evaluation.to_json(), "per_query": dict(evaluation.per_query)}
                for name, evaluation in self.evaluations.items()
            },
        }


@dataclass(frozen=True, slots=True)
class BrightResult:
    """The figures of one system over some subsets: all short, or all long; one query set."""

    long: bool
    query_set: str
    subsets: Mapping[str, SubsetScores]

    @property
    def track(self) -> str:
        """Rewritten queries are another task than the original ones."""
        return "original queries" if self.query_set == EXAMPLES else f"rewritten: {self.query_set}"

    @property
    def complete(self) -> bool:
        """Whether the average is BRIGHT's: over all 12 subsets, or all 8 with long documents."""
        return self.subsets.keys() == set(LONG if self.long else SHORT)

    def average(self, protocol: str, measure: str) -> float:
        """Mean over subsets, each with the same weight."""
        means = [s.evaluations[protocol].metrics[measure] for s in self.subsets.values()]
        return math.fsum(means) / len(means)

    def to_json(self) -> dict[str, Any]:
        """All figures, unrounded."""
        return {
            "long": self.long,
            "query_set": self.query_set,
            "track": self.track,
            "complete": self.complete,
            "depth": DEPTH,
            "differences": {protocol.name: protocol.difference for protocol in PROTOCOLS},
            "average": {
                protocol.name: {name: self.average(protocol.name, name) for name in MEASURES}
                for protocol in PROTOCOLS
            },
            "subsets": {name: scores.to_json() for name, scores in self.subsets.items()},
        }


def score_subset(subset: BrightSubset, run: Run) -> SubsetScores:
    """All protocols from one run without exclusions.

    Raises:
        Thought1Error: the run lacks a query, or holds a document that the subset lacks.
    """
    task = bright_task(subset)
    return scores_of(subset, task.cut(run), evaluate_protocols(task, run))


def scores_of(
    subset: BrightSubset, kept: Run, evaluations: Mapping[str, Evaluation]
) -> SubsetScores:
    """The figures of a subset whose run after exclusion is `kept`."""
    return SubsetScores(
        subset=subset.name,
        documents=len(subset.pool),
        evaluations=evaluations,
        without_gold=sum(not query.gold for query in subset.queries),
        missing_excluded=subset.missing_excluded,
        num_excluding=sum(bool(query.excluded & subset.pool) for query in subset.queries),
        num_copies=added_copies(subset),
        num_short=sum(len(kept[q.id]) < _full_length(subset, q) for q in subset.queries),
    )


def _full_length(subset: BrightSubset, query: BrightQuery) -> int:
    return min(DEPTH, len(subset.pool - query.excluded))
