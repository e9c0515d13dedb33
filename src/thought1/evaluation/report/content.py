"""What a page shows, as plain data. Knows neither files nor HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thought1.evaluation.report.fields import Fields

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that was found."""

    id: str
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Detail:
    """What one system did with one query."""

    query: str
    thought: str | None
    thought_tokens: int
    finish_reason: str | None
    relevant: Sequence[str]
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class Point:
    """A budget on a curve, or a baseline beside it; what costs nothing known has None."""

    name: str
    tokens: float | None
    milliseconds: float | None
    value: float
    interval: Interval | None
    on_front: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """nDCG@10 over what thinking costs."""

    points: Sequence[Point]
    baselines: Sequence[Point]


@dataclass(frozen=True, slots=True)
class ThoughtRow:
    """One kind of thought in the faithfulness gauge."""

    name: str
    cosine: float
    value: float
    advantage: tuple[float, float, float] | None
    """own - this: mean, low, high; None for own itself."""


@dataclass(frozen=True, slots=True)
class VectorRow:
    """One way to make a vector of several thoughts."""

    name: str
    value: float
    gain: tuple[float, float, float] | None
    """this - bare: mean, low, high; None for bare itself."""


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How far sampled thoughts scatter, and what averaging them brings."""

    rows: Sequence[VectorRow]
    copies: int
    temperature: float
    distance: float
    correlation: float | None


@dataclass(frozen=True, slots=True)
class Gauge:
    """One reading of the faithfulness gauge."""

    rows: Sequence[ThoughtRow]
    questions: int
    distinct: int
    budget: int
    mean_length: float
    warning: str
    dispersion: Dispersion | None


@dataclass(frozen=True, slots=True)
class System:
    """What was measured; equal for the same system on another task."""

    name: str
    kind: str
    revision: str
    mode: str
    think: int | None


@dataclass(frozen=True, slots=True)
class Result:
    """One result file; `path` is relative to the folder that was read."""

    path: str
    task: str
    task_kind: str
    facts: Mapping[str, Any]
    """The object "task" as it stands."""
    system: System
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    per_query: Mapping[str, Mapping[str, float]]
    cost: Fields
    origin: Mapping[str, Any]
    digests: Mapping[str, Any]
    """SHA-256 of the weights and of the settings."""
    details: Mapping[str, Detail] | None
    curve: Curve | None
    gauge: Gauge | None

    @property
    def queries(self) -> int:
        """Number of queries that count."""
        return len(next(iter(self.per_query.values())))
