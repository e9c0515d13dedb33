"""Where each result comes from: command, commit, machine, versions, hashes, and data that differ.

Knows nothing of metrics.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from thought1.evaluation.report.blocks import absent, facts, folded, section
from thought1.evaluation.report.content import Result
from thought1.evaluation.report.grouping import Entry, Task
from thought1.evaluation.report.markup import Markup
from thought1.evaluation.report.wording import NOTHING, listed


def provenance(tasks: Sequence[Task]) -> Markup:
    """One folded list of facts for each result."""
    parts = [_facts(task, entry) for task in tasks for entry in task.entries]
    return section("provenance", 2, "Provenance", *parts)


def data_differ(task: Task) -> Markup | None:
    """A line where the systems of a task have read different data, as the hashes say."""
    hashes = [entry.result.facts.get("hashes") for entry in task.entries]
    known = [found for found in hashes if isinstance(found, dict)]
    shared = sorted(set.intersection(*(set(found) for found in known)) if known else ())
    differing = [name for name in shared if len({str(found[name]) for found in known}) > 1]
    if not differing:
        return None
    return absent(
        f"These results cannot be compared as they stand: {listed(differing)} differ between them "
        "(see their hashes under Provenance)."
    )


def _facts(task: Task, entry: Entry) -> Markup:
    result = entry.result
    pairs = [("File", result.path)]
    for title, content in (
        ("Task", {name: value for name, value in result.facts.items() if name != "name"}),
        ("System", _system(result)),
        ("Origin", _origin(result.origin)),
        ("Cost", result.cost.content),
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
        **result.digests,
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
