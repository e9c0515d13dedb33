"""The overview of all results, and BRIGHT's subsets side by side.

Knows nothing of single queries. A mean over subsets is taken over unrounded values, and shown
with the number of subsets it covers: means over different subsets are different numbers.
"""

import math
from collections.abc import Sequence

from thought1.evaluation.report.axes import Words
from thought1.evaluation.report.blocks import (
    Cell,
    Table,
    figure,
    figures,
    folded,
    number,
    paragraph,
    section,
    table,
)
from thought1.evaluation.report.grouping import SystemEntry, TaskGroup
from thought1.evaluation.report.markup import Markup, element
from thought1.evaluation.report.plots import ValueBar, axis_end, bars
from thought1.evaluation.report.wording import (
    NOTHING,
    amount,
    interval,
    metric_name,
    percent,
    share,
)
from thought1.evaluation.results.models import Result


def overview(tasks: Sequence[TaskGroup]) -> Markup:
    """One row for each system on each task."""
    results = [entry.result for task in tasks for entry in task.entries]
    measures = list(dict.fromkeys(name for result in results for name in result.metrics))
    headings = ["System", "Task", "Queries", *map(metric_name, measures)]
    headings += ["Thought tokens", "Forced", "ms per query"]
    # Few files have a price; the column is shown only if one does.
    priced = any(result.cost.cost_per_1000_queries is not None for result in results)
    headings += ["Cost per 1,000 queries"] if priced else []
    rows = [
        [
            Cell(entry.label),
            Cell(task.name),
            number(str(entry.result.queries), entry.result.queries),
        ]
        + [_metric(entry, task, name) for name in measures]
        + _cost(entry.result, priced)
        for task in tasks
        for entry in task.entries
    ]
    note = (
        "Means over queries, and below them 95% bootstrap intervals. Bold: the highest mean on a "
        "task. Thought tokens: the mean over queries. Forced: the share of thoughts that the "
        "model did not end itself."
    )
    whole = Table("All results", headings, rows)
    return section("overview", 2, "Overview", paragraph(note, "note"), table(whole))


def _metric(entry: SystemEntry, task: TaskGroup, name: str) -> Cell:
    value = entry.result.metrics.get(name)
    if value is None:
        return number(NOTHING, None)
    best = max(other.result.metrics.get(name, 0.0) for other in task.entries)
    return Cell(
        share(value),
        value,
        True,
        below=interval(*entry.result.ci[name]),
        strong=value == best,
    )


def _cost(result: Result, priced: bool) -> list[Cell]:
    tokens, forced = result.cost.thought_tokens.mean, result.cost.forced
    spent, price = milliseconds(result), result.cost.cost_per_1000_queries
    return [
        number(amount(tokens), tokens),
        number(percent(forced), forced),
        number(amount(spent), spent),
        *([number(amount(price), price)] if priced else []),
    ]


def milliseconds(result: Result) -> float | None:
    """Of all steps of a query together; None if none was timed."""
    steps = result.cost.milliseconds
    return math.fsum(steps.values()) if steps else None


def task_bars(
    task: TaskGroup, key: str, title: str, end: float | None = None
) -> tuple[Markup, Markup]:
    """The systems of a task as bars with their intervals, and their table."""
    name = metric_name(task.measure)
    rows, cells = [], []
    for entry in task.entries:
        value = entry.result.metrics[task.measure]
        low, high = entry.result.ci[task.measure]
        rows.append(ValueBar(entry.label, value, (low, high), entry.result.system.kind == "t1"))
        cells.append(
            [Cell(entry.label), number(share(value), value), number(interval(low, high), low)]
        )
    summary = "; ".join(f"{a.shown} {b.shown}, 95% interval {c.shown}" for a, b, c in cells)
    words = Words(key, f"{name} on {task.name}", summary)
    data = Table(f"{name} on {task.name}", ["System", name, "95% interval"], cells)
    return figure(title, "", bars(words, rows, end or _end([task]))), table(data)


def _end(tasks: Sequence[TaskGroup]) -> float:
    return axis_end(
        [
            end
            for task in tasks
            for entry in task.entries
            for end in (
                entry.result.metrics[task.measure],
                entry.result.ci[task.measure][1],
            )
        ]
    )


def bright(track: str, key: str, tasks: Sequence[TaskGroup]) -> Markup:
    """The subsets of a track: a table with averages, and bars for each subset."""
    labels = list(dict.fromkeys(entry.label for task in tasks for entry in task.entries))
    values = {
        label: {
            task.name: entry.result.metrics[task.measure]
            for task in tasks
            for entry in task.entries
            if entry.label == label
        }
        for label in labels
    }
    average = {label: math.fsum(of.values()) / len(of) for label, of in values.items()}
    order = sorted(labels, key=lambda label: (-len(values[label]), -average[label], label))
    rows = [
        [Cell(label), number(share(average[label]), average[label])]
        + [number(f"{len(values[label])}", len(values[label]))]
        + [_subset(values[label].get(task.name)) for task in tasks]
        for label in order
    ]
    name = metric_name(tasks[0].measure)
    headings = ["System", "Average", "Subsets", *(task.short for task in tasks)]
    end = _end(tasks)
    plots = [task_bars(task, f"{key}-{task.key}", task.short, end) for task in tasks]
    note = f"{name} of each subset. Averages over different numbers of subsets cannot be compared."
    return section(
        key,
        2,
        track,
        paragraph(note, "note"),
        table(Table(f"{track}: {name} of each subset and their average", headings, rows)),
        figures([element("div", {}, picture, folded("Data", data)) for picture, data in plots]),
    )


def _subset(value: float | None) -> Cell:
    return number(NOTHING if value is None else share(value), value)
