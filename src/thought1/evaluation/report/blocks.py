"""Parts of a page that many sections use: tables, figures, lines about what is absent.

Knows no results: it is given headings, cells and pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thought1.evaluation.report.markup import Markup, element, join


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: what is shown, and what it is sorted by where that is another thing."""

    shown: str
    key: float | str | None = None
    number: bool = False
    below: str | None = None
    """A second, smaller line."""
    strong: bool = False
    link: str | None = None
    """The id of what the cell is about."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row is its heading."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    ids: Sequence[str | None] = ()
    """Of the rows, where something links to them."""


def number(shown: str, value: float | None) -> Cell:
    """A cell with a number, sorted by its unrounded value."""
    return Cell(shown, value, number=True)


def table(content: Table) -> Markup:
    """A table in a box of its own that scrolls sideways, by keyboard too."""
    numbers = [cell.number for cell in content.rows[0]]
    headings = [
        element("th", {"scope": "col", "class": "number" if numeric else None}, heading)
        for heading, numeric in zip(content.headings, numbers, strict=True)
    ]
    ids = content.ids or [None] * len(content.rows)
    rows = [
        element("tr", {"id": key}, *map(_cell, row, range(len(row))))
        for key, row in zip(ids, content.rows, strict=True)
    ]
    whole = element(
        "table",
        {"class": "sortable" if len(rows) > 1 else None},
        element("caption", {}, content.caption),
        element("thead", {}, element("tr", {}, *headings)),
        element("tbody", {}, *rows),
    )
    attributes = {"class": "scroll", "role": "region", "aria-label": content.caption}
    return element("div", {**attributes, "tabindex": "0"}, whole)


def _cell(cell: Cell, column: int) -> Markup:
    # A heading sorts by its text, a missing number behind all others.
    key = cell.key if cell.key is not None else "" if cell.number else None
    attributes = {
        "class": "number" if cell.number else None,
        "data-key": repr(key) if isinstance(key, float) else key,
    }
    shown = element("strong", {}, cell.shown) if cell.strong else element("bdi", {}, cell.shown)
    content = element("a", {"href": f"#{cell.link}"}, shown) if cell.link else shown
    below = element("small", {}, cell.below) if cell.below else None
    if column == 0:
        return element("th", {"scope": "row", **attributes}, content, below)
    return element("td", attributes, content, below)


def figure(title: str, note: str, *content: Markup) -> Markup:
    """A picture below its title and a line on how to read it."""
    told = [element("strong", {}, title), element("span", {}, note) if note else None]
    return element("figure", {}, element("figcaption", {}, *told), *content)


def figures(content: Sequence[Markup]) -> Markup:
    """Figures abreast, as many as fit."""
    return element("div", {"class": "figures"}, *content)


def beside(picture: Markup, data: Markup) -> Markup:
    """A figure and its table: abreast on a desk, one below the other on a phone."""
    return element("div", {"class": "beside"}, picture, data)


def folded(summary: str, *content: Markup) -> Markup:
    """What is shown on request."""
    return element("details", {}, element("summary", {}, summary), *content)


def paragraph(text: str, kind: str | None = None) -> Markup:
    """A line of text."""
    return element("p", {"class": kind}, text)


def absent(text: str) -> Markup:
    """A line in the place of what the files do not hold."""
    return paragraph(text, "absent")


def section(key: str, level: int, title: str, *content: Markup | None) -> Markup:
    """A part of the page with its heading, which names it for readers too."""
    heading = element(f"h{level}", {"id": f"{key}-heading"}, title)
    return element("section", {"id": key, "aria-labelledby": f"{key}-heading"}, heading, *content)


def facts(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Names and what they stand for."""
    return element(
        "dl",
        {},
        join(join([element("dt", {}, name), element("dd", {}, value)]) for name, value in pairs),
    )
