"""From a run and its judgements to the numbers we report, with intervals.

The metrics come from ir-measures over pytrec_eval, as the official BRIGHT numbers do. Knows
neither models, nor stores, nor files: it is given a run and qrels.

Decided here: every query judged with at least one relevant document counts, and only those; a
run that lacks one of them is refused, because a mean over fewer queries is another number. All
measures see one order of the documents, trec_eval's, ties included (`thought1.metrics.order`):
by default, ir-measures breaks the ties of RR@k the other way round than those of nDCG@k.

Intervals: percentile bootstrap over queries; Efron and Tibshirani 1993, An Introduction to the
Bootstrap, chapter 13; Sakai 2006, Evaluating Evaluation Metrics based on the Bootstrap.
"""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from thought1.metrics import Cut, order, parse_measure
from thought1.types import Qrels, Run, Thought1Error

DEFAULT_MEASURES = ("ndcg@10", "recall@1", "recall@10", "recall@100", "mrr@10")

Interval = tuple[float, float]
"""(low, high)."""

_THEIR_NAMES = {"ndcg": "nDCG", "recall": "R", "mrr": "RR"}

_BLOCK = 1000
"""Resamples drawn at once, which bounds the memory at 16 kB for each query."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The values of one run; every measure has the same queries."""

    per_query: Mapping[str, Mapping[str, float]]
    """measure -> query id -> value between 0 and 1, query ids in ascending order."""

    @property
    def queries(self) -> int:
        """Number of queries that count."""
        return len(next(iter(self.per_query.values())))

    @property
    def metrics(self) -> dict[str, float]:
        """measure -> mean over queries, unrounded."""
        return {name: _mean(values) for name, values in self.per_query.items()}

    def to_json(self) -> dict[str, Any]:
        """What `t1 evaluate --json` prints: metrics, their 95% intervals, number of queries."""
        return {
            "metrics": self.metrics,
            "ci": {
                name: list(bootstrap_ci(list(values.values())))
                for name, values in self.per_query.items()
            },
            "queries": self.queries,
        }


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean of a - b over queries, with its interval; 0 outside of it: a and b differ."""

    mean: float
    low: float
    high: float


def evaluate(run: Run, qrels: Qrels, measures: Sequence[str] = DEFAULT_MEASURES) -> Evaluation:
    """Evaluate a run over the queries that have at least one relevant document in `qrels`.

    Args:
        run: Scores; queries that do not count are left out.
        qrels: Judgements; relevant from grade 1 on.
        measures: "ndcg@K", "recall@K", "mrr@K" or "mrr", at least one.

    Raises:
        Thought1Error: A measure is unknown, the qrels hold no relevant document, the run lacks a
            query that counts or has a score that is not a number, or ir-measures is missing.
    """
    if not measures:
        raise ValueError("evaluate needs at least one measure")
    library = _ir_measures()
    parsed = {ours: parse_measure(ours) for ours in measures}
    names = {}
    for ours, (kind, k) in parsed.items():
        cut = "" if k is None else f"@{k}"
        names[library.parse_measure(f"{_THEIR_NAMES[kind]}{cut}")] = ours
    judged = {
        query: grades
        for query, grades in sorted(qrels.items())
        if any(grade > 0 for grade in grades.values())
    }
    _check_coverage(run, judged)
    deepest = _deepest([k for _, k in parsed.values()])
    # Falling whole numbers leave no tie, so that every provider ranks alike.
    ranked = {
        query: {doc: -float(rank) for rank, doc in enumerate(order(run[query])[:deepest])}
        for query in judged
    }
    per_query = {ours: dict.fromkeys(judged, 0.0) for ours in names.values()}
    for metric in library.iter_calc(list(names), judged, ranked):
        per_query[names[metric.measure]][metric.query_id] = float(metric.value)
    return Evaluation(per_query)


def bootstrap_ci(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Interval of the mean of `values` (one per query) by the percentile bootstrap.

    Args:
        values: At least one number.
        level: Share of the resampled means inside the interval.
        resamples: Number of resamples.
        seed: The same seed and the same values in the same order give the same interval.
    """
    if not values or not 0 < level < 1 or resamples < 1:
        raise ValueError("bootstrap_ci needs values, a level between 0 and 1, and resamples >= 1")
    if len(values) == 1:  # which scipy refuses
        return float(values[0]), float(values[0])
    from scipy.stats import bootstrap  # slow to import: only for those who ask

    low, high = bootstrap(
        (np.asarray(values, dtype=np.float64),),
        np.mean,
        n_resamples=resamples,
        batch=_BLOCK,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(low), float(high)


def paired_bootstrap(
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Compare two systems on the same queries: `Evaluation.per_query[measure]` of each.

    Raises:
        Thought1Error: The two do not have the same queries.
    """
    differences = paired_differences(a, b)
    low, high = bootstrap_ci(
        list(differences.values()), level=level, resamples=resamples, seed=seed
    )
    return PairedDifference(_mean(differences), low, high)


def paired_differences(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """a - b for each query, query ids in ascending order.

    Raises:
        Thought1Error: The two do not have the same queries.
    """
    if a.keys() != b.keys():
        raise Thought1Error(
            f"the two evaluations differ in {len(a.keys() ^ b.keys())} queries: "
            f"{some_ids(a.keys() ^ b.keys())}; compare them over the same judgements"
        )
    return {query: a[query] - b[query] for query in sorted(a)}


def some_ids(ids: Set[str], shown: int = 5) -> str:
    """The first few ids for a message, so that a long list does not bury it."""
    return ", ".join(sorted(ids)[:shown]) + (", ..." if len(ids) > shown else "")


def _deepest(cuts: Sequence[Cut]) -> Cut:
    """The largest cut; beyond it no measure sees a document."""
    found: list[int] = [k for k in cuts if k is not None]
    return max(found) if len(found) == len(cuts) else None


def _check_coverage(run: Run, judged: Qrels) -> None:
    if not judged:
        raise Thought1Error(
            "the qrels hold no query with a relevant document (grade 1 or more): "
            "check that they belong to this collection and split"
        )
    missing = judged.keys() - run.keys()
    if missing:
        raise Thought1Error(
            f"the run lacks {len(missing)} of the {len(judged)} judged queries: "
            f"{some_ids(missing)}; search for each of them, "
            "or evaluate against the qrels of the run's own split"
        )


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise Thought1Error('evaluation needs ir-measures: pip install "thought1[eval]"') from error
    return ir_measures


def _mean(values: Mapping[str, float]) -> float:
    return math.fsum(values.values()) / len(values)
