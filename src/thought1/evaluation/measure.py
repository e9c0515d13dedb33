"""One evaluation from a task and a system to numbers.

Knows neither how a system works nor how a result is kept (`results`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from thought1.evaluation.overlap import Checks
from thought1.evaluation.statistics.protocol import Evaluation, evaluate
from thought1.evaluation.systems.base import (
    Answers,
    Bars,
    Documents,
    System,
    SystemFacts,
    no_bars,
)
from thought1.evaluation.task import Task
from thought1.moved import moved_names
from thought1.types import Receipt, Run

SEED = 0
"""Of the bootstrap and of sampled thoughts."""

__getattr__ = moved_names(__name__)

MAIN = "official"
"""Name of the protocol that every task has."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was found."""

    task: Task
    documents: Documents
    system: SystemFacts
    answers: Answers
    """As the system gave them, nothing excluded."""
    run: Run
    """After exclusion and cut."""
    evaluations: Mapping[str, Evaluation]
    """protocol -> values; the first one's are the result's."""
    checks: Checks | None = None
    """Of the collection; None if another protocol does its own."""

    @property
    def evaluation(self) -> Evaluation:
        """By the main protocol."""
        return next(iter(self.evaluations.values()))

    @property
    def receipt(self) -> Receipt:
        """What the queries cost."""
        return self.answers.receipt

    @property
    def system_name(self) -> str:
        """The system's, and what rewrote its queries or wrote its thoughts."""
        return self.task.name_system(self.system)


def measure(task: Task, system: System, bars: Bars = no_bars) -> Measured:
    """Rank the documents for the queries, and evaluate the rankings.

    Raises:
        Thought1Error: the documents cannot be read, or none of them is judged; the system fails,
            or ir-measures is missing.
    """
    documents, checks = task.read()
    answers = system.rank(documents, task.texts, task.search_depth, bars)
    evaluations = evaluate_protocols(task, answers.run)
    if checks is not None and task.ignores_identical_ids:
        removed = sum(query in scores for query, scores in answers.run.items())
        checks = replace(checks, removed_identical=removed)
    kept = task.cut(answers.run)
    return Measured(task, documents, system.facts, answers, kept, evaluations, checks)


def evaluate_protocols(task: Task, run: Run) -> dict[str, Evaluation]:
    """protocol -> values of one run without exclusions, the main protocol first.

    Raises:
        Thought1Error: the run cannot be of this task, or ir-measures is missing.
    """
    task.check(run)
    cuts = {True: task.cut(run)}
    if any(not other.excludes for other in task.alternatives):
        cuts[False] = task.cut(run, excludes=False)
    found = {MAIN: evaluate(cuts[True], task.qrels, task.measures)}
    for other in task.alternatives:
        found[other.name] = evaluate(cuts[other.excludes], other.qrels, task.measures)
    return found
