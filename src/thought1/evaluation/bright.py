"""BRIGHT: one ranking of each subset, scored by four protocols side by side.

The protocols differ in what may be ranked and in what counts as relevant, so one ranking pass is
enough for all. They also differ in their prompts, which change the vectors: that difference needs a
second pass with another instruction. Knows neither files (`thought1.data.bright`) nor models.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from thought1.data.bright import EXAMPLES, LONG, SHORT, BrightQuery, BrightSubset
from thought1.evaluation.bright_protocols import PROTOCOLS
from thought1.evaluation.bright_ranking import Answers, Ranking
from thought1.evaluation.protocol import Evaluation, evaluate
from thought1.types import Qrels, Run, Thought1Error

DEPTH = 1000
"""Documents of a ranking after exclusion, as in the official code."""
MEASURES = ("ndcg@10", "recall@1")


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


def evaluate_bright(
    subsets: Iterable[BrightSubset],
    ranking: Ranking,
    *,
    on_scores: Callable[[BrightSubset, SubsetScores, Answers], object] | None = None,
) -> BrightResult:
    """Rank and score each subset.

    Args:
        subsets: at least one, all of one kind and query set.
        ranking: asked once for each subset.
        on_scores: gets each subset when it is scored, and its answers; their run is the one after
            exclusion, as the official code writes it.

    Raises:
        Thought1Error: a ranking lacks a query, or holds a document that the subset lacks.
    """
    found: dict[str, SubsetScores] = {}
    kinds = set()
    for subset in subsets:
        kinds.add((subset.long, subset.query_set))
        # So many more that the cut is never felt after exclusion.
        most = max(len(query.excluded & subset.pool) for query in subset.queries)
        answers = ranking(subset, DEPTH + most)
        found[subset.name] = scores = score_subset(subset, answers.run)
        if on_scores:
            kept = _ranked(subset, answers.run, excludes=True)
            on_scores(subset, scores, replace(answers, run=kept))
    if len(kinds) != 1:
        raise ValueError(f"needs subsets of one kind and query set, not {sorted(kinds)}")
    ((long, query_set),) = kinds
    return BrightResult(long, query_set, found)


def score_subset(subset: BrightSubset, run: Run) -> SubsetScores:
    """All protocols from one run without exclusions.

    Raises:
        Thought1Error: the run lacks a query, or holds a document that the subset lacks.
    """
    _check_run(subset, run)
    official = subset.qrels()
    adjusted = _with_copies(subset)
    kept = _ranked(subset, run, excludes=True)
    runs = {True: kept, False: _ranked(subset, run, excludes=False)}
    return SubsetScores(
        subset=subset.name,
        documents=len(subset.pool),
        evaluations={
            protocol.name: evaluate(
                runs[protocol.excludes], adjusted if protocol.adds_copies else official, MEASURES
            )
            for protocol in PROTOCOLS
        },
        without_gold=len(subset.queries) - len(official),
        missing_excluded=subset.missing_excluded,
        num_excluding=sum(bool(query.excluded & subset.pool) for query in subset.queries),
        num_copies=_size(adjusted) - _size(official),
        num_short=sum(len(kept[q.id]) < _full_length(subset, q) for q in subset.queries),
    )


def _check_run(subset: BrightSubset, run: Run) -> None:
    missing = [query.id for query in subset.queries if query.id not in run]
    if missing:
        raise Thought1Error(
            f"{subset.name}: the ranking lacks {len(missing)} of {len(subset.queries)} queries, "
            f"such as {missing[0]!r}; a mean over the others would be another figure"
        )
    for query in subset.queries:
        if strange := run[query.id].keys() - subset.pool:
            raise Thought1Error(
                f"{subset.name}: the ranking of query {query.id!r} holds a document that the "
                f"subset lacks: {min(strange)!r}"
            )


def _ranked(subset: BrightSubset, run: Run, *, excludes: bool) -> Run:
    """The first 1000 by score, cut after exclusion; ties in the order of the run."""
    cut: Run = {}
    for query in subset.queries:
        out = query.excluded if excludes else frozenset[str]()
        pairs = [(doc, score) for doc, score in run[query.id].items() if doc not in out]
        cut[query.id] = dict(sorted(pairs, key=lambda pair: -pair[1])[:DEPTH])
    return cut


def _with_copies(subset: BrightSubset) -> Qrels:
    """The qrels and every copy of a gold document, excluded ones left out: none can be found."""
    return {
        query.id: {
            copy: 1
            for gold in sorted(query.gold)
            for copy in sorted(subset.copies.get(gold, frozenset((gold,))) - query.excluded)
        }
        for query in subset.queries
        if query.gold
    }


def _full_length(subset: BrightSubset, query: BrightQuery) -> int:
    return min(DEPTH, len(subset.pool - query.excluded))


def _size(qrels: Qrels) -> int:
    return sum(map(len, qrels.values()))
