"""Scales, ticks and the frame of a plot, as SVG. Knows nothing of what is plotted.

All plots are 360 units wide: a phone shows them at that size, a desktop two or three side by side.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from thought1.evaluation.report.markup import Markup, element, join

WIDTH = 360


@dataclass(frozen=True, slots=True)
class Words:
    """The description for screen readers, and the id that refers to it."""

    id: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Data to a place on one axis; a straight line between both ends of `bend(value)`."""

    low: float
    high: float
    start: float
    end: float
    bend: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        """The coordinate of a value."""
        low, high = self.bend(self.low), self.bend(self.high)
        return self.start + (self.end - self.start) * (self.bend(value) - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Box:
    """The inside of a plot, in units of its SVG."""

    left: float
    top: float
    right: float
    bottom: float


def svg(words: Words, height: float, *children: Markup | None) -> Markup:
    """The picture; it has a name and a description, and its parts are hidden from readers."""
    title, description = f"{words.id}-title", f"{words.id}-desc"
    return element(
        "svg",
        {
            "viewBox": f"0 0 {WIDTH} {math.ceil(height)}",
            "role": "img",
            "aria-labelledby": f"{title} {description}",
        },
        element("title", {"id": title}, words.title),
        element("desc", {"id": description}, words.description),
        *children,
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line of a class of style.css."""
    return element("line", {"class": kind, "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def text(x: float, y: float, content: str, kind: str) -> Markup:
    """A line of text of a class of style.css: start, middle or end say where x is."""
    return element("text", {"class": kind, "x": x, "y": y}, content)


def path(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Straight lines from point to point."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", {"class": kind, "points": places})


def nice_step(extent: float, most: int) -> float:
    """1, 2 or 5 times a power of ten, so that at most this many steps cover the extent."""
    power = 10.0 ** math.floor(math.log10(extent / most))
    return next(m * power for m in (1, 2, 5, 10) if m * power * most >= extent * (1 - 1e-9))


def even_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values between low and high."""
    step = nice_step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def cost_scale(values: Sequence[float], box: Box) -> Scale:
    """The axis of a cost (0 or more): logarithmic where the costs differ much.

    Costs that hold a 0 are drawn over log(1 + cost / smallest), which shows the 0 too.
    """
    positive = [value for value in values if value > 0]
    low, high = min(values), max(values)
    start, end = box.left + 10, box.right - 14  # marks at the ends need a margin
    if not positive or high <= 8 * min(positive):
        low, high = 0.0, high or 1.0
        return Scale(low, high, start, end)
    smallest = min(positive)
    if low > 0:
        return Scale(low, high, start, end, math.log)
    return Scale(low, high, start, end, lambda value: math.log1p(value / smallest))


def cost_ticks(scale: Scale, gap: float = 34) -> list[float]:
    """Round values of a cost axis, at least `gap` apart."""
    if scale.bend is float:
        return even_ticks(scale.low, scale.high, 4)
    series = [m * 10.0**power for power in range(-3, 9) for m in (1, 2, 5)]
    kept: list[float] = []
    for value in [0.0, *series]:
        if not scale.low <= value <= scale.high:
            continue
        if not kept or scale(value) - scale(kept[-1]) >= gap:
            kept.append(value)
    return kept


def value_axis(scale: Scale, box: Box, ticks: Sequence[float]) -> Markup:
    """Horizontal grid lines with their values on the left."""
    return join(
        part
        for value in ticks
        for part in (
            line(box.left, scale(value), box.right, scale(value), "grid"),
            text(box.left - 6, scale(value) + 3.5, f"{value:g}", "tick end"),
        )
    )


def bottom_axis(scale: Scale, box: Box, ticks: Sequence[float], label: str) -> Markup:
    """The lower edge with its values, and below them what they are."""
    marks = (
        part
        for value in ticks
        for part in (
            line(scale(value), box.bottom, scale(value), box.bottom + 4, "edge"),
            text(scale(value), box.bottom + 16, f"{value:,g}", "tick middle"),
        )
    )
    return join(
        [
            line(box.left, box.bottom, box.right, box.bottom, "edge"),
            *marks,
            text((box.left + box.right) / 2, box.bottom + 33, label, "label middle"),
        ]
    )
