"""What one task shows beyond means: differences of systems, curves, faithfulness.

Knows nothing of single queries' texts. Differences come from `statistics.protocol`'s paired
bootstrap; intervals are not corrected for the number of comparisons, and the page says so.
"""

import string
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import combinations

from thought1.evaluation.report.axes import Words
from thought1.evaluation.report.blocks import (
    Cell,
    Table,
    absent,
    beside,
    figure,
    figures,
    folded,
    number,
    paragraph,
    section,
    table,
)
from thought1.evaluation.report.grouping import SystemEntry, TaskGroup
from thought1.evaluation.report.markup import Markup, join, render
from thought1.evaluation.report.plots import CostAxis, Mark, ValueBar, axis_end, bars, curve
from thought1.evaluation.report.wording import (
    NOTHING,
    amount,
    counted,
    interval,
    metric_name,
    plain,
    share,
    signed,
)
from thought1.evaluation.results.models import (
    MEASURE,
    CurveRecord,
    DifferenceRecord,
    DispersionRecord,
    FaithfulnessRecord,
    PointRecord,
    RivalRecord,
)
from thought1.evaluation.statistics.protocol import Interval, paired_bootstrap

_TEMPLATE = "thoughts.html"


def differences(task: TaskGroup) -> Markup | None:
    """Every pair of systems, the better mean first; None if there is but one."""
    title, key = "Differences between systems", f"{task.key}-differences"
    if len(task.entries) < 2:
        return None
    pairs = list(combinations(task.entries, 2))
    rows = [_difference(task, a, b) for a, b in pairs if comparable(task, a, b)]
    parts: list[Markup] = []
    if rows:
        note = (
            f"Mean of the first system's {metric_name(task.measure)} minus the second's over the "
            "same queries, with the 95% interval of the paired bootstrap. The intervals are not "
            "corrected for the number of comparisons."
        )
        headings = ["First", "Second", "Difference", "95% interval", "Beyond chance"]
        headings += ["Better on", "Worse on"]
        parts = [paragraph(note, "note"), table(Table(f"{title} on {task.name}", headings, rows))]
    if len(rows) < len(pairs):
        left_out = counted(len(pairs) - len(rows), "pair")
        parts.append(absent(f"{left_out} left out: the two were evaluated on different queries."))
    return section(key, 3, title, *parts)


def comparable(task: TaskGroup, a: SystemEntry, b: SystemEntry) -> bool:
    """Whether two systems have the same queries."""
    return a.result.per_query[task.measure].keys() == b.result.per_query[task.measure].keys()


def _difference(task: TaskGroup, a: SystemEntry, b: SystemEntry) -> list[Cell]:
    first, second = (entry.result.per_query[task.measure] for entry in (a, b))
    found = paired_bootstrap(first, second)
    wins = sum(first[query] > second[query] for query in first)
    losses = sum(first[query] < second[query] for query in first)
    shown = found.low > 0 or found.high < 0
    return [
        Cell(a.label),
        Cell(b.label),
        number(signed(found.mean), found.mean),
        number(f"{signed(found.low)} to {signed(found.high)}", found.low),
        Cell("yes" if shown else "not shown"),
        number(str(wins), wins),
        number(str(losses), losses),
    ]


def curves(task: TaskGroup) -> Markup | None:
    """nDCG@10 over tokens and over milliseconds, for each system with a curve; None without."""
    title, key = "Thinking curves", f"{task.key}-curves"
    parts = [
        _curve(entry, entry.result.curve, f"{key}-{place}")
        for place, entry in enumerate(task.entries)
        if entry.result.curve is not None
    ]
    if not parts:
        return None
    note = (
        "nDCG@10 over what thinking costs. Numbers at the points: the budget; vertical lines: 95% "
        "intervals. Filled points and the band: the Pareto front over milliseconds, where nothing "
        "else is both cheaper and better. Diamonds: baselines."
    )
    return section(key, 3, title, paragraph(note, "note"), *parts)


def _curve(entry: SystemEntry, content: CurveRecord, key: str) -> Markup:
    letters = list(string.ascii_uppercase)
    names = [letters[n] if n < len(letters) else "" for n in range(len(content.baselines))]
    plots = [_curve_plot(entry, content, names, axis, f"{key}-{axis}") for axis in ("tokens", "ms")]
    front = {str(name) for name in content.pareto}
    rows = [_point_row(f"budget {one.budget}", one, front) for one in content.points]
    rows += [_point_row(one.name, one, front) for one in content.baselines]
    headings = ["Point", "Tokens", "Milliseconds", "nDCG@10", "95% interval", "On the front"]
    legend = list(zip(names, (point.name for point in content.baselines), strict=True))
    data = folded("Data of the curve", table(Table(f"Curve of {entry.label}", headings, rows)))
    pictures = figures([plot for plot in plots if plot])
    return render(_TEMPLATE, "curve", entry.label, pictures, legend, data)


def _curve_plot(
    entry: SystemEntry, content: CurveRecord, names: Sequence[str], axis: str, key: str
) -> Markup | None:
    """One of the two plots; None if no point has that cost."""
    cost = _COSTS[axis]
    label = "thought tokens per query" if axis == "tokens" else "milliseconds per query"
    front = {str(name) for name in content.pareto}
    points = [
        Mark(str(one.budget), spent, one.metrics.ndcg, _interval(one), str(one.budget) in front)
        for one in content.points
        if (spent := cost(one)) is not None
    ]
    others = [
        Mark(name, spent, one.metrics.ndcg, None, one.name in front)
        for one, name in zip(content.baselines, names, strict=True)
        if (spent := cost(one)) is not None
    ]
    if not points:
        return None
    summary = "; ".join(
        f"budget {mark.label}: {share(mark.value)} at {amount(mark.cost)}" for mark in points
    )
    words = Words(key, f"nDCG@10 of {entry.label} over {label}", summary)
    title = "Over tokens" if axis == "tokens" else "Over time"
    return figure(title, "", curve(words, points, others, CostAxis(label, has_front=axis == "ms")))


_COSTS: Mapping[str, Callable[[PointRecord | RivalRecord], float | None]] = {
    "tokens": lambda point: point.tokens,
    "ms": lambda point: point.milliseconds,
}


def _interval(point: PointRecord | RivalRecord) -> Interval | None:
    if isinstance(point, RivalRecord) or MEASURE not in point.ci:
        return None
    low, high = point.ci[MEASURE]
    return low, high


def _point_row(name: str, point: PointRecord | RivalRecord, front: Set[str]) -> list[Cell]:
    ends = _interval(point)
    key = point.name if isinstance(point, RivalRecord) else str(point.budget)
    return [
        Cell(name),
        number(amount(point.tokens), point.tokens),
        number(amount(point.milliseconds), point.milliseconds),
        number(share(point.metrics.ndcg), point.metrics.ndcg),
        number(interval(*ends), ends[0]) if ends else number(NOTHING, None),
        Cell("yes" if key in front else "no"),
    ]


def faithfulness(task: TaskGroup) -> Markup | None:
    """What other thoughts than the own lead to, for each system with the gauge; None without."""
    title, key = "Faithfulness", f"{task.key}-faithfulness"
    parts = [
        _gauge(entry, entry.result.faithfulness, f"{key}-{place}")
        for place, entry in enumerate(task.entries)
        if entry.result.faithfulness is not None
    ]
    if not parts:
        return None
    note = (
        "The same prompts with other thoughts: does the vector depend on the thought, and does "
        "the thought help? Cosine: to the vector after the model's own thought."
    )
    return section(key, 3, title, paragraph(note, "note"), *parts)


def _gauge(entry: SystemEntry, gauge: FaithfulnessRecord, key: str) -> Markup:
    rows = [ValueBar(name, row.ndcg, None, name == "own") for name, row in gauge.rows.items()]
    summary = "; ".join(f"{row.label} {share(row.value)}" for row in rows)
    words = Words(key, f"nDCG@10 of {entry.label} after each kind of thought", summary)
    cells = [
        [
            Cell(name),
            number(share(row.cosine), row.cosine),
            number(share(row.ndcg), row.ndcg),
            *_difference_cells(gauge.advantages.get(name)),
        ]
        for name, row in gauge.rows.items()
    ]
    end = axis_end([row.value for row in rows])
    headings = ["Thought", "Cosine", "nDCG@10", "Own minus this", "95% interval"]
    questions = len(gauge.rows["own"].per_query)
    facts = (
        f"{counted(questions, 'question')}, {gauge.distinct} different own thoughts of "
        f"{amount(gauge.mean_length)} tokens on average, budget {gauge.budget}."
    )
    picture = figure("nDCG@10 by kind of thought", "", bars(words, rows, end))
    parts = [
        beside(picture, table(Table(f"Faithfulness of {entry.label}", headings, cells))),
        paragraph(facts, "note"),
        _dispersion(entry, gauge.dispersion) if gauge.dispersion else None,
    ]
    return render(_TEMPLATE, "faithfulness", entry.label, gauge.warning, join(parts))


def _dispersion(entry: SystemEntry, found: DispersionRecord) -> Markup:
    rank = "undefined" if found.correlation is None else signed(found.correlation)
    facts = (
        f"{counted(found.copies, 'thought')} on each question, sampled at temperature "
        f"{plain(found.temperature)}: mean cosine distance of their vectors "
        f"{share(found.distance)}, its rank correlation with nDCG@10 after the own thought "
        f"{rank}. Bare: without a thought; fused: the mean of the sampled vectors."
    )
    rows = [
        [
            Cell(name),
            number(share(row.ndcg), row.ndcg),
            *_difference_cells(found.gains.get(name)),
        ]
        for name, row in found.rows.items()
    ]
    headings = ["Vector", "nDCG@10", "This minus bare", "95% interval"]
    content = Table(f"Dispersion of sampled thoughts of {entry.label}", headings, rows)
    return join([paragraph(facts, "note"), folded("Data of sampled thoughts", table(content))])


def _difference_cells(found: DifferenceRecord | None) -> list[Cell]:
    if found is None:
        return [number(NOTHING, None), number(NOTHING, None)]
    ends = f"{signed(found.low)} to {signed(found.high)}"
    return [number(signed(found.mean), found.mean), number(ends, found.low)]
