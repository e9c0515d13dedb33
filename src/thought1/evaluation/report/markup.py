"""HTML and SVG from data: every text is escaped here, and nowhere else.

What is not `Markup` is text, whoever wrote it; a query or a document can therefore put no tag, no
attribute and no script into a page. Knows neither results nor the look of the page.
"""

import html
import re
from collections.abc import Iterable, Mapping

_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of a surrogate pair, which UTF-8 cannot write."""

Attributes = Mapping[str, str | float | None]
"""None leaves the attribute out."""


class Markup(str):
    """HTML that is finished, and not escaped again."""

    __slots__ = ()


def element(name: str, attributes: Attributes, *children: str | None) -> Markup:
    """A tag around its children; a child that is no `Markup` is text."""
    return Markup(f"{_start(name, attributes)}{join(children)}</{name}>")


def void(name: str, attributes: Attributes) -> Markup:
    """A tag that has no end: meta, br."""
    return Markup(_start(name, attributes))


def join(children: Iterable[str | None]) -> Markup:
    """Children in a row; None is left out."""
    return Markup("".join(_safe(child) for child in children if child is not None))


def _start(name: str, attributes: Attributes) -> str:
    written = (
        f' {key}="{_safe(_number(value) if isinstance(value, int | float) else str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{''.join(written)}>"


def _safe(text: str) -> str:
    if isinstance(text, Markup):
        return text
    return html.escape(_UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", text))


def _number(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")
