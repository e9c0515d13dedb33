"""HTML from templates, SVG from elements: Jinja2 escapes every text, and nothing else does.

What is not `Markup` is text, whoever wrote it; a query or a document can therefore put no tag, no
attribute and no script into a page. Knows neither results nor the look of the page.
"""

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

__all__ = ["Attributes", "Markup", "element", "join", "render"]

_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, and halves of a surrogate pair, which UTF-8 cannot write."""

Attributes = Mapping[str, str | float | None]
"""None leaves the attribute out."""


def render(template: str, macro: str, *values: Any) -> Markup:
    """What a macro of `templates/` makes of the values; None is rendered as nothing."""
    module = _ENVIRONMENT.get_template(template).module
    return Markup(getattr(module, macro)(*values))


def element(name: str, attributes: Attributes, *children: str | None) -> Markup:
    """A tag around its children; a child that is no `Markup` is text."""
    written = (
        Markup(' {}="{}"').format(key, _safe(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{0}{1}>{2}</{0}>").format(name, join(written), join(children))


def join(children: Iterable[str | None]) -> Markup:
    """Children in a row; None is left out."""
    return Markup("").join(_safe(child) for child in children if child is not None)


def _safe(value: str | float) -> Markup:
    """A number is a coordinate, to a tenth of a pixel."""
    text = value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
    return escape(_showable(text))


def _showable(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _source(name: str) -> str:
    """A template without indentation and line breaks, which would be blanks between elements."""
    text = resources.files(__package__).joinpath("templates", name).read_text("utf-8")
    return "".join(map(str.strip, text.splitlines()))


_ENVIRONMENT = Environment(
    autoescape=True,
    finalize=_showable,
    loader=FunctionLoader(_source),
    undefined=StrictUndefined,
)
