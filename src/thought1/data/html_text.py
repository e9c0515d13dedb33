"""The readable text of an HTML page, by the standard library's parser.

Knows neither files nor passages. It keeps no links, attributes or layout.
"""

import re
from html.parser import HTMLParser

_DROPPED = frozenset({"script", "style", "template"})
# fmt: off
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
    "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "head", "header", "hr", "html", "legend", "li", "main",
    "menu", "nav", "noscript", "ol", "optgroup", "option", "p", "pre", "section", "select",
    "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul",
})
# fmt: on
_CELLS = frozenset({"td", "th"})


def extract_html(markup: str) -> tuple[str, str]:
    """(title, text): paragraphs of the text are separated by one blank line.

    The title is that of `<title>`, else of the first `<h1>`, else "". Scripts, styles and
    templates are dropped. Raises ValueError where the parser gives up.
    """
    parser = _TextParser()
    try:
        parser.feed(markup)
        parser.close()
    except AssertionError as error:  # how html.parser reports an unknown "<![section["
        raise ValueError(str(error)) from error
    parser.end_paragraph()
    return parser.title or parser.heading, "\n\n".join(parser.paragraphs)


class _TextParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.heading = ""
        self.paragraphs: list[str] = []
        self._parts: list[str] = []
        self._dropped_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _DROPPED:
            self._dropped_depth += 1
        elif self._dropped_depth:
            return
        elif tag == "br":
            self._parts.append("\n")
        elif tag in _CELLS:
            self._parts.append(" ")
        elif tag in _BLOCKS:
            self.end_paragraph()

    def handle_endtag(self, tag: str) -> None:
        if tag in _DROPPED:
            self._dropped_depth = max(0, self._dropped_depth - 1)
        elif tag in _BLOCKS and not self._dropped_depth:
            self.end_paragraph(tag)

    def handle_data(self, data: str) -> None:
        if not self._dropped_depth:
            self._parts.append(re.sub(r"\s+", " ", data))

    def end_paragraph(self, tag: str = "") -> None:
        """Close the paragraph; `tag` is the element that ends here, where one does."""
        lines = (" ".join(line.split()) for line in "".join(self._parts).split("\n"))
        paragraph = "\n".join(line for line in lines if line)
        self._parts = []
        if tag == "title":
            self.title = self.title or " ".join(paragraph.split())
        elif paragraph:
            self.paragraphs.append(paragraph)
            if tag == "h1":
                self.heading = self.heading or " ".join(paragraph.split())
