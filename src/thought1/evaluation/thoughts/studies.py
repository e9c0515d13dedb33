"""What `t1 evaluate` measures besides the metrics: the thinking curve and the faithfulness report.

Knows earlier results, which are the curve's baselines, and the model of a system; neither how
the curve and the report are measured (`curve`, `faithfulness`, `dispersion`) nor printing.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from thought1.evaluation.measure import Measured
from thought1.evaluation.request import Request
from thought1.evaluation.results.build import Extras
from thought1.evaluation.results.files import read_result
from thought1.evaluation.results.models import Result
from thought1.evaluation.systems.base import Bars, Documents, System, SystemFacts
from thought1.evaluation.systems.t1_index import T1Index
from thought1.evaluation.task import Task
from thought1.evaluation.thoughts.curve import Curve, Rival, measure_curve
from thought1.evaluation.thoughts.dispersion import Dispersion, measure_dispersion
from thought1.evaluation.thoughts.faithfulness import (
    MEASURE,
    Faithfulness,
    JudgedQuestions,
    measure_faithfulness,
)
from thought1.t1 import T1
from thought1.types import Thought1Error, Vectors

WINDOW = 2048
"""Vectors that are read at a time."""


@dataclass(frozen=True, slots=True)
class Studied:
    """The results; None if not requested."""

    curve: Curve | None = None
    faithfulness: Faithfulness | None = None
    dispersion: Dispersion | None = None

    def to_extras(self) -> Extras:
        """The same as JSON data; the dispersion is a part of the faithfulness report."""
        report = None
        if self.faithfulness is not None and self.dispersion is not None:
            report = self.faithfulness.to_json() | {"dispersion": self.dispersion.to_json()}
        return Extras(None if self.curve is None else self.curve.to_json(), report)

    def tables(self) -> list[str]:
        """Lines of plain text, each table below its name and an empty line."""
        found = {
            "thinking curve": self.curve,
            "faithfulness": self.faithfulness,
            "dispersion of sampled thoughts": self.dispersion,
        }
        return [
            line
            for name, study in found.items()
            if study is not None
            for line in ("", name, *study.table())
        ]


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """The studies of a request, checked as far as can be before anything is measured."""

    request: Request
    task: Task
    system: T1Index
    model: T1
    budget: int
    """Most tokens of a thought, for the faithfulness report."""
    baselines: tuple[Rival, ...]

    def measure(self, measured: Measured, bars: Bars) -> Studied:
        """Take the documents' vectors from the index, for all studies together, and measure.

        Args:
            measured: the evaluation; the time of its searches excluding thinking is added to the
                times of the curve, as it is part of the baselines' times.

        Raises:
            Thought1Error: a budget does not fit into the model's positions.
        """
        with self.model.documents_read.paused(), self.model.queries_read.paused():
            return self._measure(measured, bars)

    def _measure(self, measured: Measured, bars: Bars) -> Studied:
        ids, vectors_ND = self._documents(bars, measured.documents)
        judged = _judged(self.task, ids, vectors_ND)
        curve, faithfulness, dispersion = None, None, None
        with bars("study", None, "studies") as bar:
            if self.request.budgets:
                curve = measure_curve(
                    self.model,
                    judged,
                    self.request.budgets,
                    baselines=self.baselines,
                    sampling=self.model.greedy,
                    search_milliseconds=_search_milliseconds(measured),
                )
                bar.update(1)
            if self.request.faithfulness:
                faithfulness = measure_faithfulness(
                    self.model, judged, self.budget, sampling=self.model.greedy
                )
                bar.update(1)
                dispersion = measure_dispersion(self.model, judged, self.budget)
                bar.update(1)
        return Studied(curve, faithfulness, dispersion)

    def _documents(self, bars: Bars, documents: Documents) -> tuple[list[str], Vectors]:
        ids = [document.id for document in documents]
        vectors_ND = np.zeros((len(ids), self.model.dim), np.float32)
        with bars("read for the studies", documents.size, "documents") as bar:
            for start in range(0, len(ids), WINDOW):
                some = ids[start : start + WINDOW]
                vectors_ND[start : start + len(some)] = self.system.vectors(some)
                bar.update(len(some))
        return ids, vectors_ND


def plan_studies(request: Request, task: Task, system: System, results: Path) -> StudyPlan | None:
    """Check what a request wants besides the metrics; None if that is nothing.

    Args:
        system: T1 over an index, in mode dense.
        results: folder below which the results of other systems on the task are looked for.

    Raises:
        Thought1Error: thoughts are to be compared where none is thought, fewer than two questions
            count, a budget does not fit, or a result in the folder is broken.
    """
    if not request.budgets and not request.faithfulness:
        return None
    if not isinstance(system, T1Index) or system.model is None:
        raise ValueError(f"{system.facts.name} has no vectors of thoughts to study")
    budget = system.facts.think or 0
    if request.faithfulness and budget == 0:
        raise Thought1Error(
            "a faithfulness report compares thoughts, and at budget 0 there are none: let it think"
        )
    questions = _judged(task, [], np.zeros((0, system.model.dim), np.float32)).counted().questions
    # One thought now, so that a budget that does not fit is refused before the evaluation.
    with system.model.queries_read.paused():
        longest = max(questions.values(), key=len)
        system.model.think(longest, budget=max([*request.budgets, budget]))
    baselines = other_systems(results, task, system.facts) if request.budgets else ()
    return StudyPlan(request, task, system, system.model, budget, tuple(baselines))


def other_systems(results: Path, task: Task, facts: SystemFacts) -> list[Rival]:
    """What other systems reached on the same task and data, from the results below a folder.

    The model itself, at any budget, is not another system; in another mode it is.

    Raises:
        Thought1Error: a .json file there is not a result.
    """
    found = list(_results_on(results, task, facts))
    names = Counter(result.system.name for result in found)
    return [_rival(result, names) for result in found]


def _results_on(results: Path, task: Task, facts: SystemFacts) -> Iterator[Result]:
    itself = (facts.kind, facts.weights, facts.settings, facts.mode)
    for path in sorted(results.rglob("*.json")):
        result = read_result(path)
        # Rewritten queries are other data: their hash is among the others.
        if result.task.name != task.name or result.task.hashes != task.hashes:
            continue
        system = result.system
        other = (system.kind, system.weights, system.settings, system.mode) != itself
        if other and MEASURE in result.metrics:
            yield result


def _rival(result: Result, names: Mapping[str, int]) -> Rival:
    system, cost = result.system, result.cost
    alone = names[system.name] == 1
    return Rival(
        system.name if alone else f"{system.name} ({system.revision})",
        milliseconds=sum(cost.milliseconds.values()),
        ndcg=result.metrics[MEASURE],
        tokens=cost.thought_tokens.mean or 0.0,
    )


def _judged(task: Task, document_ids: list[str], vectors_ND: Vectors) -> JudgedQuestions:
    return JudgedQuestions(
        task.texts,
        task.qrels,
        document_ids,
        vectors_ND,
        ignore_identical_ids=task.ignores_identical_ids,
    )


def _search_milliseconds(measured: Measured) -> float:
    """What a search took on average once the vector was there."""
    steps = measured.receipt.milliseconds
    return sum(time for step, time in steps.items() if step != "think") / measured.receipt.queries
