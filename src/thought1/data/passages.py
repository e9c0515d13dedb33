"""Cutting a text into passages, as character offsets into it.

Knows neither files nor models: what counts as one unit of length is handed to it. Nothing is
changed or joined, so that `text[start:end]` is the passage.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from thought1.types import Thought1Error

Span = tuple[int, int]
"""(start, end) in characters; end is exclusive."""

Units = Callable[[str], Sequence[Span]]
"""The spans of a text's units, in order: the tokens of a model."""

PATH_SEPARATOR = " > "

_PARAGRAPH_BREAK = re.compile(r"\n(?:[^\S\n]*\n)+")
# A sentence's end, or the line break before an item of a list or a row of a table.
_SENTENCE_END = re.compile(
    r"(?<!\n\d)(?<!\n\d\d)[.!?][\"')\]\u201d\u2019]*(?=\s)|[\u3002\uff01\uff1f]"
    r"|(?=\n[^\S\n]*(?:[-*+]|\d+[.)])[^\S\n])|(?=\n[^\S\n]*\|)"
)
_BLANK = re.compile(r"\s")
_USUAL_CHARS, _MOST_CHARS = 6, 16
"""Characters looked at, and allowed, for each token: an endless word may be a single token."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a text: characters `start` to `end`, and its depth (1 is the top)."""

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
    units: Units | None = None
    """None: characters."""

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

    def reach(self, text: str, start: int, end: int, most: int) -> int:
        """The furthest stop, up to `end`, with at most `most` units since `start`, but one
        character at least."""
        if self.units is None:
            return min(end, start + max(most, 1))
        stop = start
        for chars in (_USUAL_CHARS, _MOST_CHARS):
            stop = min(end, start + most * chars)
            spans = self.units(text[start:stop])
            if len(spans) > most:
                return start + max(spans[most][0], 1)
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
    """Passages in order; none begins or ends with white space, and nothing but white space is
    between two of them.

    Neighbouring paragraphs share a passage as long as they fit. Where they do not, it ends before
    a heading in its second half, else at the last end of a paragraph, of a sentence or of a line
    of a list, of a word, or in the middle of a word; never right after a heading.

    Args:
        text: what is cut.
        splitter: how long passages are.
        title: precedes the headings in each path.
        headings: of the text, in order.
    """
    yield from _Cutter(text, splitter, title, headings).passages()


class _Cutter:
    """One text on its way to passages; places are characters."""

    def __init__(
        self, text: str, splitter: Splitter, title: str, headings: Sequence[Heading]
    ) -> None:
        self._text = text
        self._splitter = splitter
        self._title = title
        self._headings = headings
        self._starts = [heading.start for heading in headings]
        self._parents = _parents(headings)

    def passages(self) -> Iterator[Passage]:
        start, end = self._strip(0, len(self._text))
        covered = start  # up to here everything is in a passage
        while covered < end:
            path = _fitting(self._splitter, self._path(start))
            cut = self._end_of_passage(path, start, covered, end)
            if cut <= covered and start < covered:  # what it repeats leaves no space for more
                start = covered
                continue
            yield Passage(start, self._strip(start, cut)[1], path)
            covered = self._strip(cut, end)[0]
            start = self._repeated(start, cut) or covered

    def _end_of_passage(self, path: str, start: int, covered: int, end: int) -> int:
        shown = f"{path}\n" if path else ""
        most = max(1, self._splitter.limit - self._splitter.size(shown))
        while True:
            stop = self._splitter.reach(self._text, start, end, most)
            cut = end if stop >= end else self._cut(covered, stop)
            # Path and passage, and parts of a text, may be tokenised differently from each alone.
            last = self._strip(start, cut)[1]
            over = self._splitter.size(shown + self._text[start:last]) - self._splitter.limit
            if over <= 0 or most == 1:
                return cut
            most = max(1, most - over)

    def _cut(self, start: int, stop: int) -> int:
        """Where to end what begins at `start`; start < cut <= stop, unless stop <= start."""
        body = self._body(start, stop)
        inside = self._headings[bisect_right(self._starts, body) : bisect_right(self._starts, stop)]
        if inside and inside[-1].start > (start + stop) // 2:
            cut = inside[-1].start
        else:
            cut = self._break(body, stop) or self._break(start, stop) or stop
        for heading in reversed(inside):  # none is left alone at the end
            if heading.start < cut and not self._text[heading.end : cut].strip():
                cut = heading.start
        return cut

    def _body(self, start: int, stop: int) -> int:
        """What follows the headings at `start`, which must not be a passage alone; up to `stop`."""
        body = start
        for number in range(bisect_left(self._starts, start), len(self._headings)):
            heading = self._headings[number]
            if heading.start != body or heading.end >= stop:
                break
            body = self._strip(heading.end, stop)[0]
        return body if body < stop else start

    def _break(self, start: int, stop: int) -> int | None:
        """The last end of a paragraph, else of a sentence, else of a word; start < it <= stop."""
        text = self._text
        gaps = [gap.start() for gap in _PARAGRAPH_BREAK.finditer(text, start, stop + 200)]
        if ends := [place for place in gaps if start < place <= stop]:
            return ends[-1]
        window = _SENTENCE_END.finditer(text, start, stop + 4)
        if ends := [match.end() for match in window if start < match.end() <= stop]:
            return ends[-1]
        for place in range(stop, start, -1):
            if text[place].isspace():
                return place
        return None

    def _repeated(self, start: int, cut: int) -> int | None:
        """The start of the sentences, or else words, before `cut` that the next passage repeats;
        nothing of another section than that of `cut`."""
        section = bisect_right(self._starts, cut)
        low = max(start + 1, self._starts[section - 1] if section else 0)
        if not self._splitter.overlap or low >= cut:
            return None
        first = self._splitter.reach_back(self._text, low, cut)
        for pattern in (_SENTENCE_END, _BLANK):
            for match in pattern.finditer(self._text, first, cut):
                begin = self._strip(match.end(), cut)[0]
                if begin < cut:
                    return begin
        return None

    def _path(self, start: int) -> list[str]:
        """The title and the headings above `start`, the outermost first."""
        names: list[str] = []
        above: int | None = bisect_right(self._starts, start) - 1
        while above is not None and above >= 0:
            if self._starts[above] < start:
                names.insert(0, self._headings[above].text)
            above = self._parents[above]
        return names if names[:1] == [self._title] or not self._title else [self._title, *names]

    def _strip(self, start: int, end: int) -> Span:
        while start < end and self._text[start].isspace():
            start += 1
        while start < end and self._text[end - 1].isspace():
            end -= 1
        return start, end


def _parents(headings: Sequence[Heading]) -> list[int | None]:
    """For each heading the number of the one above it."""
    parents: list[int | None] = []
    opened: list[int] = []
    for number, heading in enumerate(headings):
        while opened and headings[opened[-1]].level >= heading.level:
            opened.pop()
        parents.append(opened[-1] if opened else None)
        opened.append(number)
    return parents


def _fitting(splitter: Splitter, names: list[str]) -> str:
    """The path, in half of a passage's length at most: outer headings go first, and where there
    is no space for a word and a line break, all of it."""
    most = splitter.limit // 2
    if most < 2:
        return ""
    while splitter.size(path := PATH_SEPARATOR.join(names)) + 1 > most and len(names) > 1:
        del names[1]
    if splitter.size(path) + 1 > most:
        path = path[: splitter.reach(path, 0, len(path), most - 1)].rstrip()
    return path
