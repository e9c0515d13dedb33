"""What does each further token of thought bring, and what does it cost?

nDCG@10 over tokens and over milliseconds, from one pass: the model thinks once, to the largest
budget, and the engine reads the vector at the smaller ones on the way. It neither encodes documents
nor runs the baselines it is compared with, and knows no files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from thought1.evaluation.statistics.protocol import Interval, bootstrap_ci
from thought1.evaluation.thoughts.faithfulness import MEASURE, JudgedQuestions
from thought1.t1 import T1
from thought1.types import Sampling, Vectors


@dataclass(frozen=True, slots=True)
class Rival:
    """Another system on the same questions."""

    name: str
    milliseconds: float
    """Mean of a question."""
    ndcg: float
    """Mean nDCG@10."""
    tokens: float = 0.0
    """Mean of the tokens that it generates for a question."""


@dataclass(frozen=True)
class Point:
    """The model at one budget."""

    budget: int
    tokens: float
    """Mean over questions of the tokens thought; a thought may end before its budget."""
    milliseconds: float
    """Mean of a question: see `measure_curve`."""
    per_query: Mapping[str, float]
    """query id -> nDCG@10."""

    @property
    def ndcg(self) -> float:
        """Mean nDCG@10."""
        return float(np.mean(list(self.per_query.values())))

    @cached_property
    def interval(self) -> Interval:
        """95% interval of the mean."""
        return bootstrap_ci(list(self.per_query.values()))


@dataclass(frozen=True, slots=True)
class Curve:
    """The points by ascending budget, all with the same questions, and what they compete with."""

    points: tuple[Point, ...]
    baselines: tuple[Rival, ...] = ()

    @property
    def pareto(self) -> list[int | str]:
        """Budgets and names of baselines on the front, by ascending time.

        On it is what no other equals or beats in both milliseconds and nDCG@10 and beats in one.
        """
        entries: list[tuple[float, float, int | str]] = [
            *((point.milliseconds, -point.ndcg, point.budget) for point in self.points),
            *((other.milliseconds, -other.ndcg, other.name) for other in self.baselines),
        ]
        best = [
            entry
            for entry in entries
            if not any(
                other[0] <= entry[0] and other[1] <= entry[1] and other[:2] != entry[:2]
                for other in entries
            )
        ]
        return [key for _, _, key in sorted(best, key=lambda entry: entry[0])]

    def to_json(self) -> dict[str, Any]:
        """Everything, with the value of each question."""
        points = [
            {
                "budget": point.budget,
                "tokens": point.tokens,
                "milliseconds": point.milliseconds,
                "metrics": {MEASURE: point.ndcg},
                "ci": {MEASURE: list(point.interval)},
                "per_query": dict(point.per_query),
            }
            for point in self.points
        ]
        baselines = [
            {
                "name": other.name,
                "milliseconds": other.milliseconds,
                "tokens": other.tokens,
                "metrics": {MEASURE: other.ndcg},
            }
            for other in self.baselines
        ]
        return {
            "budgets": [point.budget for point in self.points],
            "points": points,
            "baselines": baselines,
            "pareto": self.pareto,
        }

    def table(self) -> list[str]:
        """Lines of plain text; `*` marks the Pareto front."""
        front = self.pareto
        width = max([len("budget 000"), *(len(other.name) for other in self.baselines)])
        lines = [f"  {'':<{width}}{'tokens':>8}{'ms':>9}{'nDCG@10':>9}  95% interval"]
        for point in self.points:
            low, high = point.interval
            lines.append(
                f"{_mark(point.budget, front)} {f'budget {point.budget}':<{width}}"
                f"{point.tokens:>8.1f}{point.milliseconds:>9.1f}{point.ndcg:>9.3f}"
                f"  {low:.3f} to {high:.3f}"
            )
        for other in self.baselines:
            lines.append(
                f"{_mark(other.name, front)} {other.name:<{width}}"
                f"{other.tokens:>8.1f}{other.milliseconds:>9.1f}{other.ndcg:>9.3f}"
            )
        questions = len(self.points[0].per_query)
        return [
            *lines,
            f"{questions} questions; mean tokens and milliseconds per question; * none is "
            "as fast and finds more, nor faster and finds as much",
        ]


def measure_curve(
    model: T1,
    judged: JudgedQuestions,
    budgets: Sequence[int],
    *,
    baselines: Sequence[Rival] = (),
    sampling: Sampling | None = None,
    search_milliseconds: float = 0.0,
) -> Curve:
    """Let the model think once, and search with its vector at each budget.

    The milliseconds of a budget are the wall time from the texts to the vectors, divided by the
    number of questions. Budget 0 is one forward pass, as `T1.think` does it; at others it is the
    time of the pass up to this many tokens, without the steps that read earlier vectors.

    Args:
        model: is put into evaluation mode.
        judged: questions without a relevant document do not count.
        budgets: at least one; each once, in ascending order in the answer.
        sampling: of the thoughts; None is the checkpoint's own.
        search_milliseconds: added to each point: what finding the documents of a vector takes, in
            the mean, where the times of the baselines include that.

    Raises:
        ValueError: no budget, or a negative one.
        Thought1Error: fewer than two questions count, or the largest budget does not fit.
    """
    budgets = sorted(set(budgets))
    if not budgets or budgets[0] < 0:
        raise ValueError(f"a curve needs budgets of 0 tokens or more, not {budgets}")
    judged = judged.counted()
    model.checkpoint.model.eval()  # a trainer leaves it in training mode
    texts = list(judged.questions.values())
    model.encode_query(texts[:1], budget=0)  # the first pass of a process also sets things up
    read = [_not_thinking(model, texts)] if budgets[0] == 0 else []
    thinking = [budget for budget in budgets if budget > 0]
    if thinking:
        read += _thinking(model, texts, thinking, sampling or model.settings.thought.sampling)
    points = [_point(found, judged, search_milliseconds) for found in read]
    return Curve(tuple(points), tuple(baselines))


@dataclass(slots=True)
class _Reading:
    """All questions at one budget."""

    budget: int
    vectors_QD: Vectors
    lengths_Q: npt.NDArray[np.int64]
    seconds: float


def _not_thinking(model: T1, texts: Sequence[str]) -> _Reading:
    started = perf_counter()
    vectors_QD = np.asarray(model.encode_query(texts, budget=0))
    seconds = perf_counter() - started
    return _Reading(0, vectors_QD, np.zeros(len(texts), np.int64), seconds)


def _thinking(
    model: T1, texts: Sequence[str], budgets: Sequence[int], sampling: Sampling
) -> list[_Reading]:
    empty = np.zeros((len(texts), model.dim), np.float32)
    lengths_Q = np.zeros(len(texts), np.int64)
    started = perf_counter()
    model.count_prompt_tokens(texts)  # tokenises them, which the engine's clock does not see
    seconds = perf_counter() - started
    read = [_Reading(budget, empty.copy(), lengths_Q.copy(), seconds) for budget in budgets]
    for indices, done in model.generations(texts, budgets[-1], sampling, snapshots=budgets):
        for number, found in enumerate(read):
            snapshots = [one.snapshots[number] for one in done]
            found.vectors_QD[indices] = [snapshot.vector for snapshot in snapshots]
            found.lengths_Q[indices] = [min(len(one.token_ids), found.budget) for one in done]
            found.seconds += snapshots[0].seconds
    return read


def _point(found: _Reading, judged: JudgedQuestions, search_milliseconds: float) -> Point:
    return Point(
        found.budget,
        float(found.lengths_Q.mean()),
        1000 * found.seconds / len(found.lengths_Q) + search_milliseconds,
        judged.ndcg(found.vectors_QD),
    )


def _mark(key: int | str, front: Sequence[int | str]) -> str:
    return "*" if key in front else " "
