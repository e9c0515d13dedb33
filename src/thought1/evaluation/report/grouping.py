"""Which results belong together: by task, by system, and the subsets of BRIGHT.

Knows no HTML. The order of everything on the page is decided here, from the files alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields

from thought1.evaluation.report.content import Result, System
from thought1.types import Thought1Error

_MAIN = "ndcg@10"
_LONG = "recall@1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One system on one task."""

    label: str
    """Names the system; no two of a task are the same."""
    result: Result


@dataclass(frozen=True, slots=True)
class Task:
    """The systems on one task, the best first."""

    key: str
    """An id for the page."""
    name: str
    bright: str | None
    """The name of BRIGHT's track, where the task is a subset of it."""
    measure: str
    """The one that bars, plots and comparisons show."""
    entries: Sequence[Entry]

    @property
    def short(self) -> str:
        """The name within BRIGHT."""
        return _subset(self.name)[0] if self.bright else self.name


def by_task(results: Sequence[Result]) -> list[Task]:
    """Tasks by name, BRIGHT's after the others."""
    labels = _labels(results)
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for result in results:
        groups[_track(result) or "", result.task].append(Entry(labels[result.path], result))
    tasks = []
    for number, ((track, name), entries) in enumerate(sorted(groups.items()), start=1):
        measure = _measure([entry.result for entry in entries], track)
        order = sorted(
            _told_apart(entries), key=lambda entry: (-entry.result.metrics[measure], entry.label)
        )
        tasks.append(Task(f"task{number}", name, track or None, measure, order))
    return tasks


def _track(result: Result) -> str | None:
    if result.task_kind != "bright":
        return None
    _, rest = _subset(result.task)
    long, query_set = rest == "long" or rest.startswith("long-"), rest.removeprefix("long")
    track = "BRIGHT, long documents" if long else "BRIGHT"
    # Rewritten queries are another task: never in one average with the original ones.
    return f"{track}, {query_set.removeprefix('-')}" if query_set else track


def _subset(task: str) -> tuple[str, str]:
    """Of bright-SUBSET, bright-SUBSET-long, bright-SUBSET-QUERIES and so on: SUBSET, the rest."""
    subset, _, rest = task.removeprefix("bright-").partition("-")
    return subset, rest


def _measure(results: Sequence[Result], track: str) -> str:
    """nDCG@10, and Recall@1 on long documents, as BRIGHT does; else what all results have."""
    shared = [name for name in results[0].metrics if all(name in r.metrics for r in results)]
    wanted = [_LONG, _MAIN] if "long documents" in track else [_MAIN]
    if not shared:
        raise Thought1Error(
            f"the results on {results[0].task} have no measure in common; "
            "evaluate them anew with the same measures"
        )
    return next(name for name in [*wanted, *shared] if name in shared)


def _labels(results: Sequence[Result]) -> dict[str, str]:
    """path -> the system's name, with what tells it from others of that name."""
    namesakes: dict[str, set[System]] = defaultdict(set)
    for result in results:
        namesakes[result.system.name].add(result.system)
    return {result.path: _label(result.system, namesakes[result.system.name]) for result in results}


def _label(system: System, namesakes: set[System]) -> str:
    varying = {
        field.name
        for field in fields(System)
        if len({_part(other, field.name) for other in namesakes}) > 1
    }
    parts = [_part(system, field.name) for field in fields(System) if field.name in varying]
    return ", ".join([system.name, *(part for part in parts if part)])


def _part(system: System, name: str) -> str:
    thinking = "" if system.think is None else f"thinking {system.think}"
    parts = {
        "name": system.name,
        "kind": system.kind,
        "revision": system.revision[:12],
        "mode": system.mode,
        "think": "not thinking" if system.think == 0 else thinking,
    }
    return parts[name]


def _told_apart(entries: Sequence[Entry]) -> list[Entry]:
    """The same system twice on one task: the path of its file tells them apart."""
    labels = [entry.label for entry in entries]
    return [
        entry
        if labels.count(entry.label) == 1
        else Entry(f"{entry.label} ({entry.result.path})", entry.result)
        for entry in entries
    ]
