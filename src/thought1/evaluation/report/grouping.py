"""Which results belong together: by task, by system, and the subsets of BRIGHT.

Knows no HTML. The order of everything on the page is decided here, from the files only.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from thought1.evaluation.report.reading import ResultFile
from thought1.evaluation.results.models import DetailRecord, Result, SystemRecord
from thought1.types import Thought1Error

_MAIN = "ndcg@10"
_LONG = "recall@1"


@dataclass(frozen=True, slots=True)
class SystemEntry:
    """One system on one task."""

    label: str
    """Names the system; no two of a task are the same."""
    result: Result
    path: str
    """Of the file, relative to the folder that was read."""
    details: Mapping[str, DetailRecord] | None = None
    """query id -> what the system did with it; None if they are not stored."""


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """The systems on one task, the best first."""

    key: str
    """An id for the page."""
    name: str
    bright: str | None
    """The name of BRIGHT's track, where the task is a subset of it."""
    measure: str
    """The one that bars, plots and comparisons show."""
    entries: Sequence[SystemEntry]

    @property
    def short(self) -> str:
        """The name within BRIGHT."""
        return _subset(self.name)[0] if self.bright else self.name


def by_task(files: Sequence[ResultFile]) -> list[TaskGroup]:
    """Tasks by name, BRIGHT's after the others."""
    labels = _labels([file.result.system for file in files])
    groups: dict[tuple[str, str], list[SystemEntry]] = defaultdict(list)
    for file, label in zip(files, labels, strict=True):
        key = (_track(file.result) or "", file.result.task.name)
        groups[key].append(SystemEntry(label, file.result, file.path, file.details))
    tasks = []
    for number, ((track, name), entries) in enumerate(sorted(groups.items()), start=1):
        measure = _measure([entry.result for entry in entries], track)
        order = sorted(
            _with_unique_labels(entries),
            key=lambda entry: (-entry.result.metrics[measure], entry.label),
        )
        tasks.append(TaskGroup(f"task{number}", name, track or None, measure, order))
    return tasks


def _track(result: Result) -> str | None:
    if result.task.kind != "bright":
        return None
    _, rest = _subset(result.task.name)
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
            f"the results on {results[0].task.name} have no measure in common; "
            "evaluate them again with the same measures"
        )
    return next(name for name in [*wanted, *shared] if name in shared)


def _labels(systems: Sequence[SystemRecord]) -> list[str]:
    """Each system's name, with what distinguishes it from others of that name."""
    namesakes: dict[str, list[Mapping[str, str]]] = defaultdict(list)
    for system in systems:
        namesakes[system.name].append(_parts(system))
    return [_label(_parts(system), namesakes[system.name]) for system in systems]


def _label(parts: Mapping[str, str], namesakes: Sequence[Mapping[str, str]]) -> str:
    varying = [name for name in parts if len({other[name] for other in namesakes}) > 1]
    return ", ".join([parts["name"], *(parts[name] for name in varying if parts[name])])


def _parts(system: SystemRecord) -> dict[str, str]:
    thinking = "" if system.think is None else f"thinking {system.think}"
    return {
        "name": system.name,
        "kind": system.kind,
        "revision": system.revision[:12],
        "mode": system.mode,
        "think": "not thinking" if system.think == 0 else thinking,
    }


def _with_unique_labels(entries: Sequence[SystemEntry]) -> list[SystemEntry]:
    """The same system twice on one task: the path of its file distinguishes them."""
    labels = [entry.label for entry in entries]
    return [
        entry
        if labels.count(entry.label) == 1
        else replace(entry, label=f"{entry.label} ({entry.path})")
        for entry in entries
    ]
