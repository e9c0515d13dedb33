"""The three plots: bars with intervals, a curve over a cost, one system against another.

They are given plain numbers and names, and know neither results nor the page around them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thought1.evaluation.report.axes import (
    WIDTH,
    Box,
    Scale,
    Words,
    bottom_axis,
    cost_scale,
    cost_ticks,
    even_ticks,
    line,
    nice_step,
    path,
    svg,
    text,
    value_axis,
)
from thought1.evaluation.report.markup import Markup, element, join
from thought1.evaluation.report.wording import share, shortened
from thought1.evaluation.statistics.protocol import Interval

_ROW = 38
_GOLDEN = math.pi * (3 - math.sqrt(5))
"""The golden angle, by which points on one place are spread like the seeds of a sunflower."""


@dataclass(frozen=True, slots=True)
class ValueBar:
    """A value between 0 and 1; an `own` bar has the accent's colour."""

    label: str
    value: float
    interval: Interval | None
    own: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a curve plot."""

    label: str
    cost: float
    value: float
    interval: Interval | None
    on_front: bool


def axis_end(values: Sequence[float]) -> float:
    """Where the axis of bars from 0 ends: the next round value."""
    highest = max(*values, 0.01)
    step = nice_step(highest, 5)
    return min(1.0, math.ceil(highest / step - 1e-9) * step)


def bars(words: Words, rows: Sequence[ValueBar], end: float) -> Markup:
    """Horizontal bars from 0 to `end`, each below its name and value."""
    box = Box(1, 0, WIDTH - 8, len(rows) * _ROW)
    scale = Scale(0, end, box.left, box.right)
    ticks = even_ticks(0, end)
    grid = [line(scale(v), 4, scale(v), box.bottom, "grid") for v in ticks]
    # The first and the last value would stick out where they are centred.
    marks = [
        text(scale(v), box.bottom + 14, f"{v:g}", "tick " + ("start" if v == 0 else "middle"))
        for v in ticks
    ]
    drawn = [_bar(row, number * _ROW, scale) for number, row in enumerate(rows)]
    return svg(words, box.bottom + 20, *grid, *drawn, *marks)


def _bar(row: ValueBar, top: float, scale: Scale) -> Markup:
    middle = top + 25
    kind = "bar own" if row.own else "bar"
    size = {"x": scale(0), "y": middle - 5, "width": scale(row.value) - scale(0), "height": 10.0}
    parts = [
        text(scale(0), top + 14, shortened(row.label, 34), "name start"),
        text(WIDTH - 8, top + 14, share(row.value), "value end"),
        element("rect", {"class": kind, **size}),
    ]
    if row.interval:
        low, high = (scale(value) for value in row.interval)
        parts.append(line(low, middle, high, middle, "whisker"))
        parts += [line(x, middle - 3, x, middle + 3, "whisker") for x in (low, high)]
    return join(parts)


@dataclass(frozen=True, slots=True)
class CostAxis:
    """The axis across: what it counts, and whether the Pareto front is the one over it."""

    label: str
    has_front: bool


def curve(words: Words, points: Sequence[Mark], others: Sequence[Mark], cost: CostAxis) -> Markup:
    """nDCG@10 over a cost: a line through the budgets, diamonds for the others, and the front."""
    box = Box(40, 14, WIDTH - 14, 238)
    across = cost_scale([mark.cost for mark in (*points, *others)], box)
    up = _value_scale([*points, *others], box)
    front = sorted((m.cost, m.value) for m in (*points, *others) if m.on_front and cost.has_front)
    note = "" if across.bend is float else ", log scale"
    return svg(
        words,
        box.bottom + 40,
        value_axis(up, box, even_ticks(up.low, up.high)),
        bottom_axis(across, box, cost_ticks(across), cost.label + note),
        path([(across(x), up(y)) for x, y in front], "front"),
        *(_whisker(mark, across, up) for mark in points),
        path([(across(mark.cost), up(mark.value)) for mark in points], "curve"),
        *(_diamond(mark, across, up) for mark in others),
        *(_dot(mark, across, up) for mark in points),
    )


def _value_scale(marks: Sequence[Mark], box: Box) -> Scale:
    """Up from below the lowest to above the highest end of an interval."""
    ends = [end for mark in marks for end in (mark.interval or (mark.value, mark.value))]
    step = nice_step(max(max(ends) - min(ends), 0.05), 5)
    low = max(0.0, math.floor(min(ends) / step) * step)
    return Scale(low, math.ceil(max(ends) / step + 1e-9) * step, box.bottom, box.top)


def _whisker(mark: Mark, across: Scale, up: Scale) -> Markup | None:
    if mark.interval is None:
        return None
    x = across(mark.cost)
    return line(x, up(mark.interval[0]), x, up(mark.interval[1]), "spread")


def _dot(mark: Mark, across: Scale, up: Scale) -> Markup:
    x, y = across(mark.cost), up(mark.value)
    kind = "dot full" if mark.on_front else "dot"
    return join(
        [
            element("circle", {"class": kind, "cx": x, "cy": y, "r": 4}),
            _label(x + 7, y - 6, mark.label) or text(x - 7, y - 6, mark.label, "mark end"),
        ]
    )


def _label(x: float, y: float, label: str) -> Markup | None:
    """To the right of its mark; None if it does not fit."""
    width = 7 * len(label)
    return text(x, y, label, "mark start") if x + width < WIDTH else None


def _diamond(mark: Mark, across: Scale, up: Scale) -> Markup:
    x, y = across(mark.cost), up(mark.value)
    corners = f"{x - 5:.1f},{y:.1f} {x:.1f},{y - 5:.1f} {x + 5:.1f},{y:.1f} {x:.1f},{y + 5:.1f}"
    kind = "diamond full" if mark.on_front else "diamond"
    return join(
        [
            element("polygon", {"class": kind, "points": corners}),
            _label(x + 8, y + 4, mark.label) or text(x - 8, y + 4, mark.label, "mark end"),
        ]
    )


@dataclass(frozen=True, slots=True)
class SystemPair:
    """Two systems on the same queries: names, and query id -> (across, up)."""

    across: str
    up: str
    values: Mapping[str, tuple[float, float]]


def scatter(words: Words, pair: SystemPair, links: Mapping[str, str]) -> Markup:
    """One point per query, a link each; `links` gives the id it leads to."""
    box = Box(44, 10, WIDTH - 10, 316)
    inset = 22  # margin around the corners, where most points overlap
    across = Scale(0, 1, box.left + inset, box.right - inset)
    up = Scale(0, 1, box.bottom - inset, box.top + inset)
    ticks = [0, 0.25, 0.5, 0.75, 1]
    diagonal = line(across(0), up(0), across(1), up(1), "diagonal")
    middle = (box.top + box.bottom) / 2
    turned = {"class": "label middle", "transform": f"translate(12 {middle}) rotate(-90)"}
    at: dict[tuple[float, float], list[str]] = {}
    for query, values in pair.values.items():
        at.setdefault(values, []).append(query)
    return svg(
        words,
        box.bottom + 40,
        value_axis(up, box, ticks),
        bottom_axis(across, box, ticks, shortened(pair.across, 44)),
        element("text", turned, shortened(pair.up, 40)),
        diagonal,
        *(
            _linked(query, values, (across(values[0]) + dx, up(values[1]) + dy), links)
            for values, queries in at.items()
            for query, (dx, dy) in zip(queries, _spread(len(queries), inset), strict=True)
        ),
    )


def _spread(number: int, radius: float) -> list[tuple[float, float]]:
    """Offsets that keep points on one place apart, within a radius."""
    step = min(3.5, (radius - 4) / math.sqrt(number))
    turns = range(number)
    return [
        (step * math.sqrt(n) * math.cos(n * _GOLDEN), step * math.sqrt(n) * math.sin(n * _GOLDEN))
        for n in turns
    ]


def _linked(
    query: str,
    values: tuple[float, float],
    place: tuple[float, float],
    links: Mapping[str, str],
) -> Markup:
    x, y = place
    summary = f"{query}: {share(values[1])} up, {share(values[0])} across"
    kind = "over" if values[1] > values[0] else "under" if values[1] < values[0] else "even"
    circle = element(
        "circle",
        {"class": f"point {kind}", "cx": x, "cy": y, "r": 3.5},
        element("title", {}, summary),
    )
    # The keyboard's way to a query is the table below the plot: one stop, not hundreds.
    return element("a", {"href": f"#{links[query]}", "tabindex": "-1"}, circle)
