"""The readable text of an HTML page, by the standard library's parser.

Knows neither files nor passages. It keeps no links, attributes or layout, and no navigation.
"""

import re
from html.parser import HTMLParser
from typing import NamedTuple

from thought1.data.markup import INLINED
from thought1.data.passages import Heading

_DROPPED = frozenset({"script", "style", "template"})
_DROPPED_IN_DRAWINGS = frozenset({"title", "desc", "metadata"})  # not to be seen on the page
# fmt: off
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
    "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "legend", "li", "main",
    "menu", "nav", "noscript", "ol", "optgroup", "option", "p", "pre", "section", "select",
    "summary", "svg", "table", "tbody", "tfoot", "thead", "title", "tr", "ul",
})
# fmt: on
_SPACED = frozenset({"td", "th", "text", "button"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})


class HtmlText(NamedTuple):
    """What a page says; offsets of the headings are into `text`."""

    title: str
    text: str
    headings: list[Heading]


def extract_html(markup: str) -> HtmlText:
    """Title, text and headings: paragraphs of the text are separated by one blank line.

    The title is that of `<title>`, else of the first `<h1>`, else "". Scripts, styles, templates,
    inlined files and navigation (`<nav>`, `role="navigation"`) are dropped; navigation that is
    never closed is text. Raises ValueError if the parser gives up.
    """
    parser = _TextParser()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError as error:  # how html.parser reports an unknown "<![section["
        raise ValueError(str(error)) from error
    parser.end_paragraph()
    headings, start = [], 0
    for paragraph, level in parser.paragraphs:
        end = start + len(paragraph)
        if level:
            headings.append(Heading(start, end, level, " ".join(paragraph.split())))
        start = end + 2
    first = next((heading.text for heading in headings if heading.level == 1), "")
    text = "\n\n".join(paragraph for paragraph, _ in parser.paragraphs)
    return HtmlText(parser.title or first, text, headings)


class _TextParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.paragraphs: list[tuple[str, int]] = []
        """Each with its level where it is a heading, else 0."""
        self._parts: list[str] = []
        self._dropped_depth = 0
        self._drawing_depth = 0
        self._code_depth = 0
        # The outermost navigation: its tag, how many of these are open, paragraphs before it.
        self._navigation = ("", 0, 0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._is_dropped(tag):
            self._dropped_depth += 1
        elif self._dropped_depth:
            return
        elif tag == "br":
            self._parts.append("\n")
        elif tag in _SPACED:
            self._parts.append(" ")
        elif tag in _BLOCKS:
            self.end_paragraph()
        self._drawing_depth += tag == "svg"
        self._code_depth += tag == "pre"
        self._begin_navigation(tag, ("role", "navigation") in attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._is_dropped(tag):
            self._dropped_depth = max(0, self._dropped_depth - 1)
        elif self._dropped_depth:
            return
        elif tag in _BLOCKS:
            self.end_paragraph(tag)
        self._drawing_depth = max(0, self._drawing_depth - (tag == "svg"))
        self._code_depth = max(0, self._code_depth - (tag == "pre"))
        self._end_navigation(tag)

    def handle_data(self, data: str) -> None:
        if not self._dropped_depth:
            # Line breaks and indentation mean something in code; \v and \f stand for them here.
            code = data.replace("\n", "\v").replace(" ", "\f")
            self._parts.append(code if self._code_depth else re.sub(r"\s+", " ", data))

    def end_paragraph(self, tag: str = "") -> None:
        """Close the paragraph; `tag` is the element that ends here, where one does."""
        joined = INLINED.sub("", "".join(self._parts))
        self._parts = []
        lines = (re.sub(r"[^\S\f]+", " ", line) for line in re.split("[\n\v]", joined))
        lines = (line.strip(" ").rstrip("\f ").replace("\f", " ") for line in lines)
        paragraph = "\n".join(line for line in lines if line)
        if tag == "title":
            self.title = self.title or " ".join(paragraph.split())
        elif paragraph.strip():
            self.paragraphs.append((paragraph, int(tag[1]) if tag in _HEADINGS else 0))

    def _is_dropped(self, tag: str) -> bool:
        return tag in _DROPPED or (self._drawing_depth > 0 and tag in _DROPPED_IN_DRAWINGS)

    def _begin_navigation(self, tag: str, has_role: bool) -> None:
        opened, depth, before = self._navigation
        if depth and tag == opened:
            self._navigation = (opened, depth + 1, before)
        elif not depth and (tag == "nav" or has_role):
            self.end_paragraph()
            self._navigation = (tag, 1, len(self.paragraphs))

    def _end_navigation(self, tag: str) -> None:
        opened, depth, before = self._navigation
        if depth and tag == opened:
            self._navigation = (opened, depth - 1, before)
            if depth == 1:
                self.end_paragraph()
                del self.paragraphs[before:]
