"""Cutting a text into passages, as character offsets into it.

Knows neither files nor models: what counts as one unit of length is handed to it. Nothing is
changed or joined, so that `text[start:end]` is the passage.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from thought1.types import Thought1Error

Span = tuple[int, int]
"""(start, end) in characters; end is exclusive."""

PATH_SEPARATOR = " > "

_PARAGRAPH_BREAK = re.compile(r"\n(?:[^\S\n]*\n)+")
# A sentence's end, or the line break before an item of a list or a row of a table.
_SENTENCE_END = re.compile(
    r"[.!?][\"')\]\u201d\u2019]*(?=\s)|[\u3002\uff01\uff1f]"
    r"|(?=\n[^\S\n]*(?:[-*+]|\d+[.)])[^\S\n])|(?=\n[^\S\n]*\|)"
)
_USUAL_CHARS, _MOST_CHARS = 6, 16
"""Characters looked at, and allowed, for each token: an endless word may be a single token."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a text: characters `start` to `end`, and how deep it stands (1 is the top)."""

    start: int
    end: int
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage, and the headings above it that it does not show itself."""

    start: int
    end: int
    path: str
    """Such as "Guide > Install > Linux": the text's title, then the headings."""


@dataclass(frozen=True, slots=True)
class Splitter:
    """How long passages are."""

    limit: int = 1200
    """Most units of a passage, its path and a line break included."""
    overlap: int = 0
    """Most units at its start that the passage before it holds too."""
    units: Callable[[str], Sequence[Span]] | None = None
    """The spans of a text's units, in order: a model's tokens. None: characters."""

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise Thought1Error(f"a passage must be 1 or more long, not {self.limit}")
        if not 0 <= self.overlap <= self.limit // 2:
            raise Thought1Error(
                f"an overlap of {self.overlap} does not fit passages of {self.limit}: give 0 to "
                f"{self.limit // 2}"
            )

    def size(self, text: str) -> int:
        """Units of a text."""
        return len(text if self.units is None else self.units(text))

    def reach(self, text: str, start: int, end: int, room: int) -> int:
        """The furthest stop, up to `end`, with at most `room` units since `start`, but one
        character at least."""
        if self.units is None:
            return min(end, start + max(room, 1))
        stop = start
        for chars in (_USUAL_CHARS, _MOST_CHARS):
            stop = min(end, start + room * chars)
            spans = self.units(text[start:stop])
            if len(spans) > room:
                return start + max(spans[room][0], 1)
            if stop == end:
                break
        return stop

    def reach_back(self, text: str, start: int, end: int) -> int:
        """The earliest place from `start` on with at most `overlap` units up to `end`."""
        if self.units is None or not self.overlap:
            return max(start, end - self.overlap)
        start = max(start, end - self.overlap * _MOST_CHARS)
        spans = self.units(text[start:end])
        return start + spans[-self.overlap][0] if len(spans) > self.overlap else start


CHARACTERS = Splitter()
"""Where no model is known whose tokens could be counted: about 250 tokens of English prose."""


def split_passages(
    text: str, splitter: Splitter, title: str = "", headings: Sequence[Heading] = ()
) -> Iterator[Passage]:
    """Passages in order; none begins or ends with white space, and nothing but white space lies
    between two of them.

    Neighbouring paragraphs share a passage as long as they fit. Where they do not, it ends before
    a heading in its second half, else at the last end of a paragraph, of a sentence or of a line
    of a list, of a word, or in the middle of a word; never right behind a heading.

    Args:
        text: what is cut.
        splitter: how long passages are.
        title: stands before the headings in each path.
        headings: of the text, in order.
    """
    starts = [heading.start for heading in headings]
    start, end = _strip(text, 0, len(text))
    covered = start
    while start < end:
        before = headings[: bisect_right(starts, start - 1)]
        path = _fitting(splitter, _path(title, before))
        cut = _end_of_passage(text, splitter, path, (start, covered, end), headings)
        if cut <= covered < end and start < covered:  # what it repeats leaves no room for more
            start = covered
            continue
        yield Passage(start, _strip(text, start, cut)[1], path)
        section = max((s for s in starts if s <= cut), default=0)
        covered = _strip(text, cut, end)[0]
        repeated = _repeated(text, splitter, max(start + 1, section), cut)
        start = repeated if repeated < cut < end else covered


def _end_of_passage(
    text: str,
    splitter: Splitter,
    path: str,
    places: tuple[int, int, int],
    headings: Sequence[Heading],
) -> int:
    """Where the passage ends; `places`: its start, what is covered already, the text's end."""
    start, covered, end = places
    shown = f"{path}\n" if path else ""
    room = max(1, splitter.limit - splitter.size(shown))
    while True:
        stop = splitter.reach(text, start, end, room)
        cut = end if stop >= end else _cut(text, max(start, covered), stop, headings)
        # Path and passage, and parts of a text, may join to other tokens than each alone.
        over = splitter.size(shown + text[slice(*_strip(text, start, cut))]) - splitter.limit
        if over <= 0 or room == 1:
            return cut
        room = max(1, room - over)


def _cut(text: str, start: int, stop: int, headings: Sequence[Heading]) -> int:
    """Where to end what begins at `start`; start < cut <= stop, unless stop <= start."""
    inside = [heading for heading in headings if start < heading.start <= stop]
    if inside and inside[-1].start > (start + stop) // 2:
        cut = inside[-1].start
    else:
        cut = _cut_of_text(text, start, stop)
    for heading in reversed(inside):  # none is left alone at the end
        if heading.start < cut and not text[heading.end : cut].strip():
            cut = heading.start
    return cut


def _cut_of_text(text: str, start: int, stop: int) -> int:
    gaps = [gap.start() for gap in _PARAGRAPH_BREAK.finditer(text, start, stop + 200)]
    if ends := [place for place in gaps if start < place <= stop]:
        return ends[-1]
    window = _SENTENCE_END.finditer(text, start, stop + 2)
    if ends := [match.end() for match in window if start < match.end() <= stop]:
        return ends[-1]
    for place in range(stop, start, -1):
        if text[place].isspace():
            return place
    return stop


def _repeated(text: str, splitter: Splitter, low: int, cut: int) -> int:
    """Where the next passage begins: at a sentence, else at a word, that it repeats."""
    if not splitter.overlap or low >= cut:
        return cut
    first = splitter.reach_back(text, low, cut)
    for pattern in (_SENTENCE_END, re.compile(r"(?=\s)")):
        for match in pattern.finditer(text, first, cut):
            begin = _strip(text, match.end(), cut)[0]
            if begin < cut:
                return begin
    return cut


def _path(title: str, before: Sequence[Heading]) -> list[str]:
    """The title, and the headings that are open behind `before`, the outermost first."""
    opened: list[Heading] = []
    for heading in before:
        while opened and opened[-1].level >= heading.level:
            opened.pop()
        opened.append(heading)
    names = [heading.text for heading in opened]
    return names if names[:1] == [title] or not title else [title, *names]


def _fitting(splitter: Splitter, names: list[str]) -> str:
    """The path, in half of a passage's length at most: outer headings go first."""
    most = splitter.limit // 2
    while splitter.size(path := PATH_SEPARATOR.join(names)) + 1 > most and len(names) > 1:
        del names[1]
    if splitter.size(path) + 1 > most:
        path = path[: splitter.reach(path, 0, len(path), most - 1)].rstrip() if most > 1 else ""
    return path


def _strip(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return start, end
