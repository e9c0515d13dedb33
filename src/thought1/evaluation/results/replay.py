"""Does an evaluation give the same again? Two results, their runs, and what differs.

Knows neither how the second one came about (`evaluation.run.replay`) nor how the answer is printed.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from thought1.evaluation.results.models import Result, SystemRecord
from thought1.model.place import BUNDLED_MODELS
from thought1.types import Run, Thought1Error

TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class ReplayedMeasure:
    """One measure, before and now."""

    measure: str
    old: float
    new: float
    largest: float
    """The largest difference of a query; infinite where one of the results lacks a query."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What replaying a result has found."""

    rows: tuple[ReplayedMeasure, ...]
    run: float | None
    """The largest difference of a score in the runs; None if the old run is not stored."""
    tolerance: float

    @property
    def equal(self) -> bool:
        """Whether every number is the same, within the tolerance."""
        found = [abs(row.new - row.old) for row in self.rows]
        found += [row.largest for row in self.rows]
        return all(value <= self.tolerance for value in [*found, self.run or 0.0])

    def to_json(self) -> dict[str, Any]:
        """JSON data; what is infinite is null."""
        return {
            "equal": self.equal,
            "tolerance": self.tolerance,
            "metrics": {
                row.measure: {
                    "old": row.old,
                    "new": row.new,
                    "largest_of_a_query": _finite(row.largest),
                }
                for row in self.rows
            },
            "run": None if self.run is None else _finite(self.run),
        }


def model_of_its_time(system: SystemRecord) -> str | None:
    """The model of a T1's result that names none; None if it has none (BM25).

    Such a result is of an index, or from before the default was chosen among several models: then
    t1-nano.
    """
    if system.kind != "t1":
        return None
    model = system.name.partition("@")[0]
    return model if model in BUNDLED_MODELS else BUNDLED_MODELS[0]


def changes(old: Mapping[str, str | None], new: Mapping[str, str | None]) -> list[str]:
    """The names whose hashes differ, or that only one side has."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def compare_results(
    old: Result,
    new: Result,
    runs: tuple[Run | None, Run],
    tolerance: float = TOLERANCE,
) -> Replay:
    """Compare two results and their runs (the old one's, then the new one's).

    Raises:
        Thought1Error: the two have no measure in common.
    """
    measures = [name for name in old.metrics if name in new.metrics]
    if not measures:
        raise Thought1Error("the result and its replay have no measure in common")
    rows = tuple(
        ReplayedMeasure(
            name,
            old.metrics[name],
            new.metrics[name],
            _largest(old.per_query[name], new.per_query[name]),
        )
        for name in measures
    )
    before, now = runs
    return Replay(rows, None if before is None else run_difference(before, now), tolerance)


def run_difference(a: Run, b: Run) -> float:
    """The largest difference of a score.

    A document that only one ranking holds is taken to have the lowest score of the other: where
    two documents share the last place, either may have been cut. Infinite where the other holds
    nothing.
    """
    return max(_ranking_difference(a.get(q, {}), b.get(q, {})) for q in a.keys() | b.keys())


def _ranking_difference(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    low_a, low_b = (min(scores.values(), default=math.inf) for scores in (a, b))
    return max(
        (abs(a.get(doc, low_a) - b.get(doc, low_b)) for doc in a.keys() | b.keys()), default=0.0
    )


def _largest(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    if a.keys() != b.keys():
        return math.inf
    return max(abs(a[query] - b[query]) for query in a)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
