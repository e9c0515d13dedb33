"""What a text file contains besides its text: headings, front matter, inlined images.

Knows neither files nor passages. Where something is left out, offsets into the file are kept.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import yaml

from thought1.data.passages import Heading

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})\s*")
_NO_SETEXT = re.compile(r"\s*(?:[-*+>|#]|\d+[.)]|$)")
_ADORNMENT = re.compile(r"([^\w\s])\1{2,}\s*")

_YAML_BLOCK = re.compile(r"---[ \t]*\r?\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.S | re.M)
_TOML_BLOCK = re.compile(r"\+\+\+[ \t]*\r?\n(.*?)^\+\+\+[ \t]*(?:\r?\n|\Z)", re.S | re.M)
_MOST_YAML = 50_000
"""Characters; the YAML reader needs a second for this many."""

INLINED = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+=-]+)*;base64,[A-Za-z0-9+/=_%-]{32,}")
"""A file inside the text, as the address of an image for example. Short ones may be examples."""


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The block of fields before a text."""

    end: int = 0
    """Where the text begins, in characters."""
    title: str = ""
    """The field `title`, as it is written."""
    fields: Mapping[Any, Any] = field(default_factory=dict)
    """All fields, the title too."""
    problem: str = ""
    """Why there seems to be a block that cannot be read; it is text then."""


NO_FRONT_MATTER = FrontMatter()


class Cleaned:
    """A text without its first `begin` characters and without inlined files."""

    def __init__(self, text: str, begin: int = 0) -> None:
        parts, self._places, self._shifts = [], [0], [begin]
        position = begin
        for match in INLINED.finditer(text, begin):
            parts.append(text[position : match.start()])
            position = match.end()
            self._places.append(self._places[-1] + len(parts[-1]))
            self._shifts.append(position - self._places[-1])
        self.text = "".join([*parts, text[position:]])

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """The position of the characters `start` to `end` in the whole text."""
        return self._origin(start), self._origin(end - 1) + 1

    def _origin(self, place: int) -> int:
        return place + self._shifts[bisect_right(self._places, place) - 1]


def read_front_matter(text: str) -> FrontMatter:
    """The block between two lines of `---` (YAML) or `+++` (TOML) with which `text` begins.

    A block that holds no fields is text. So is a broken one, whose `problem` is reported.
    """
    if found := _YAML_BLOCK.match(text):
        try:
            values = _read_yaml(found[1])
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            return FrontMatter(problem=f"no valid YAML: {str(error).splitlines()[0]}")
        if not isinstance(values, dict):
            return NO_FRONT_MATTER
        written = yaml.load(found[1], yaml.BaseLoader).get("title")
        return FrontMatter(found.end(), _one_line(written), values)
    if found := _TOML_BLOCK.match(text):
        try:
            values = tomllib.loads(found[1].replace("\r\n", "\n"))
        except (ValueError, RecursionError) as error:
            return FrontMatter(problem=f"no valid TOML: {error}")
        return FrontMatter(found.end(), _one_line(values.get("title")), values)
    return NO_FRONT_MATTER


def _read_yaml(block: str) -> object:
    if len(block) > _MOST_YAML:
        raise ValueError(f"it has more than {_MOST_YAML} characters")
    # A few lines of references to references would become gigabytes of metadata.
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(block, yaml.SafeLoader)):
        raise ValueError("it refers to another value (*name)")
    return yaml.safe_load(block)


def _one_line(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def markdown_headings(text: str) -> list[Heading]:
    """The headings outside of code blocks: "# Title", or a line above "===" or "---"."""
    headings: list[Heading] = []
    fence, before, before_start, start = "", "", 0, 0
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence):
                fence = ""
            line = ""
        elif not fence:
            if heading := _ATX.match(line):
                words = re.sub(r"(?:^|[ \t])#+[ \t]*$", "", heading[2].strip())
                _add(headings, start, end, len(heading[1]), words)
            elif (under := _SETEXT.fullmatch(line)) and not _NO_SETEXT.match(before):
                _add(headings, before_start, end, 1 if under[1][0] == "=" else 2, before)
        before, before_start, start = ("" if fence else line), start, end
    return headings


def _add(headings: list[Heading], start: int, end: int, level: int, words: str) -> None:
    words = re.sub(r"\s*\{#[^}]*\}$", "", words.strip())  # an anchor: "## Install {#install}"
    if words:
        headings.append(Heading(start, end, level, words))


def rest_headings(text: str) -> list[Heading]:
    """The headings of reStructuredText: a line above a line of punctuation as long as itself.

    Their depth follows from the order in which the kinds of such lines occur.
    """
    headings: list[Heading] = []
    kinds: list[tuple[str, bool]] = []
    start, over = 0, ""
    for line, below in pairwise([*text.splitlines(keepends=True), ""]):
        words, rule = line.strip(), _ADORNMENT.fullmatch(line)
        under = None if rule or not words else _ADORNMENT.fullmatch(below)
        overlined = over.rstrip() == below.rstrip()
        if under and len(under[0].rstrip()) >= len(words) and (overlined or not line[0].isspace()):
            kind = (under[1], overlined)
            if kind not in kinds:
                kinds.append(kind)
            begin = start - len(over) * overlined
            level = kinds.index(kind) + 1
            headings.append(Heading(begin, start + len(line) + len(below), level, words))
        over = line if rule else ""
        start += len(line)
    return headings
