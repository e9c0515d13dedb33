"""Cutting a text into passages, as character offsets into it.

Knows neither files nor tokens; nothing is changed, joined or repeated, so that
`text[start:end]` is the passage.
"""

import re
from collections.abc import Iterator

Span = tuple[int, int]
"""(start, end) in characters; end is exclusive."""

_PARAGRAPH_BREAK = re.compile(r"\n(?:[^\S\n]*\n)+")
_SENTENCE_END = re.compile(r"[.!?][\"')\]\u201d\u2019]*(?=\s)|[\u3002\uff01\uff1f]")


def split_passages(text: str, max_chars: int) -> Iterator[Span]:
    """Spans of at most `max_chars` characters, in order, without overlap.

    Neighbouring paragraphs share a passage as long as they fit. A longer paragraph is cut at the
    last sentence end that fits, else at the last white space, else in the middle of a word. No
    span begins or ends with white space, and nothing but white space lies between two spans.
    """
    current: Span | None = None
    for start, end in _pieces(text, max_chars):
        if current and end - current[0] <= max_chars:
            current = (current[0], end)
            continue
        if current:
            yield current
        current = (start, end)
    if current:
        yield current


def _pieces(text: str, max_chars: int) -> Iterator[Span]:
    """Paragraphs, the long ones in parts; all without white space at their ends."""
    for start, end in _paragraphs(text):
        while end - start > max_chars:
            cut = _cut(text, start, max_chars)
            yield _strip(text, start, cut)
            start, end = _strip(text, cut, end)
        yield start, end


def _paragraphs(text: str) -> Iterator[Span]:
    start = 0
    for gap in _PARAGRAPH_BREAK.finditer(text):
        yield from _unless_blank(_strip(text, start, gap.start()))
        start = gap.end()
    yield from _unless_blank(_strip(text, start, len(text)))


def _unless_blank(span: Span) -> Iterator[Span]:
    if span[0] < span[1]:
        yield span


def _strip(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end


def _cut(text: str, start: int, max_chars: int) -> int:
    """Where to end the piece that begins at `start`; start < cut <= start + max_chars."""
    stop = start + max_chars
    window = _SENTENCE_END.finditer(text, start, stop + 1)
    if ends := [match.end() for match in window if match.end() <= stop]:
        return ends[-1]
    for place in range(stop, start, -1):
        if text[place].isspace():
            return place
    return stop
