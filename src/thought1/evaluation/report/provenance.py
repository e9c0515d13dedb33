"""Where each result comes from: command, commit, machine, versions, hashes, and data that differ.

Knows nothing of metrics.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from thought1.evaluation.report.blocks import absent, facts, folded, section
from thought1.evaluation.report.grouping import SystemEntry, TaskGroup
from thought1.evaluation.report.markup import Markup
from thought1.evaluation.report.wording import NOTHING, listed
from thought1.evaluation.results.models import Result


def provenance(tasks: Sequence[TaskGroup]) -> Markup:
    """One folded list of facts for each result."""
    parts = [_facts(task, entry) for task in tasks for entry in task.entries]
    return section("provenance", 2, "Provenance", *parts)


def data_differ(task: TaskGroup) -> Markup | None:
    """A line where the systems of a task have read different data, as the hashes say."""
    known = [entry.result.task.hashes for entry in task.entries]
    shared = sorted(set.intersection(*(set(found) for found in known)))
    differing = [name for name in shared if len({found[name] for found in known}) > 1]
    if not differing:
        return None
    return absent(
        f"These results are not comparable: {listed(differing)} differ between them "
        "(see their hashes under Provenance)."
    )


def _facts(task: TaskGroup, entry: SystemEntry) -> Markup:
    result = entry.result
    pairs = [("File", entry.path)]
    for title, content in (
        ("Task", {n: value for n, value in result.task.to_json().items() if n != "name"}),
        ("System", _system(result)),
        ("Origin", _origin(result.origin)),
        ("Cost", result.cost.to_json()),
    ):
        pairs += [(f"{title}: {name}", shown) for name, shown in _flat(content)]
    return folded(f"{task.name}: {entry.label}", facts(pairs))


def _system(result: Result) -> dict[str, Any]:
    system = result.system
    return {
        "name": system.name,
        "kind": system.kind,
        "revision": system.revision,
        "mode": system.mode,
        "thinking budget": system.think,
        "weights (SHA-256)": system.weights,
        "settings (SHA-256)": system.settings,
    }


def _origin(origin: Mapping[str, Any]) -> dict[str, Any]:
    """With the command as one line that a shell takes."""
    command = origin.get("command")
    if isinstance(command, list):
        return {**origin, "command": shlex.join(str(word) for word in command)}
    return dict(origin)


def _flat(content: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Names with dots, and values in words."""
    pairs: list[tuple[str, str]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            pairs += _flat(value, f"{above}{name}, ")
        elif value is None:
            pairs.append((f"{above}{name}", NOTHING))
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            pairs.append((f"{above}{name}", shown))
    return pairs
