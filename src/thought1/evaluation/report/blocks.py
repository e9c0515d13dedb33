"""Parts of a page that many sections use: tables, figures, lines about what is absent.

Knows no results: it is given headings, cells and pictures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from thought1.evaluation.report.markup import Markup, join, render


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

    @property
    def sort_key(self) -> str | None:
        """What a heading sorts by; None is the text. A missing number comes after all others."""
        if self.key is None:
            return "" if self.number else None
        return repr(self.key) if isinstance(self.key, float) else str(self.key)


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first cell of each row is its heading."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    ids: Sequence[str] = ()
    """One for each row, where something links to them; else none at all."""


def number(shown: str, value: float | None) -> Cell:
    """A cell with a number, sorted by its unrounded value."""
    return Cell(shown, value, number=True)


_TEMPLATE = "blocks.html"


def table(content: Table) -> Markup:
    """A table in a box of its own that scrolls sideways, by keyboard too."""
    numbers = [cell.number for cell in content.rows[0]]
    columns = list(zip(content.headings, numbers, strict=True))
    return render(_TEMPLATE, "table", content, columns)


def figure(title: str, note: str, *content: Markup) -> Markup:
    """A picture below its title and a line on how to read it."""
    return render(_TEMPLATE, "figure", title, note, join(content))


def figures(content: Sequence[Markup]) -> Markup:
    """Figures side by side, as many as fit."""
    return render(_TEMPLATE, "box", "figures", join(content))


def beside(picture: Markup, data: Markup) -> Markup:
    """A figure and its table: side by side on a desktop, one below the other on a phone."""
    return render(_TEMPLATE, "box", "beside", join([picture, data]))


def folded(summary: str, *content: Markup) -> Markup:
    """What is shown when expanded."""
    return render(_TEMPLATE, "folded", summary, join(content))


def paragraph(text: str, kind: str | None = None) -> Markup:
    """A line of text."""
    return render(_TEMPLATE, "paragraph", text, kind)


def absent(text: str) -> Markup:
    """A line in the place of what the files do not hold."""
    return paragraph(text, "absent")


def section(key: str, level: int, title: str, *content: Markup | None) -> Markup:
    """A part of the page with its heading, which names it for readers too."""
    return render(_TEMPLATE, "section", key, level, title, join(content))


def facts(pairs: Sequence[tuple[str, str]]) -> Markup:
    """Names and their meaning."""
    return render(_TEMPLATE, "facts", pairs)
