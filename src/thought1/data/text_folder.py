"""A folder of text, Markdown and HTML files as documents: one for each passage.

Knows neither JSON nor tables. A file is at most `max_line_bytes` long, so that memory stays
bounded; hidden files and folders are skipped, and linked folders are not followed.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from thought1.data.html_text import extract_html
from thought1.data.passages import split_passages
from thought1.data.rows import BOM, BadRow, CorpusOptions, Row, parse_document, show_path
from thought1.types import Thought1Error

TEXT_SUFFIXES = (".txt", ".md", ".html", ".htm")


def list_texts(folder: Path) -> Iterator[Path]:
    """The text files below `folder`, by name, folder by folder."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Thought1Error(f"{show_path(folder)} cannot be read: {error}") from error
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from list_texts(path)
        elif path.suffix.lower() in TEXT_SUFFIXES and entry.is_file():
            yield path


def read_text_folder(folder: Path, options: CorpusOptions) -> Iterator[Row | BadRow]:
    """The passages of every file: id "notes/ice.md#0", title, and `source`, `start`, `end`.

    `source` is the path relative to `folder`. `start` and `end` are character offsets into the
    decoded file (without a byte order mark), for HTML into the text that was extracted. The
    title is the first Markdown heading, the HTML `<title>` or `<h1>`, else the file's name.
    """
    for path in list_texts(folder):
        try:
            yield from _read_file(path, path.relative_to(folder).as_posix(), options)
        except BadRow as bad:
            yield bad


def _read_file(path: Path, source: str, options: CorpusOptions) -> list[Row]:
    title, text = _extract(path, _read_text(path, options.max_line_bytes))
    name = show_path(path)
    rows = []
    for number, (start, end) in enumerate(split_passages(text, options.passage_chars)):
        fields = {
            "_id": f"{source}#{number}",
            "text": text[start:end],
            "title": title or path.stem,
            "source": source,
            "start": start,
            "end": end,
        }
        try:
            rows.append(Row(f"{name}: passage {number}", parse_document(fields)))
        except BadRow as bad:  # a file name that is not valid UTF-8
            raise bad.at(name) from None
    if not rows:
        raise BadRow(f"{name}: file is empty")
    return rows


def _read_text(path: Path, max_bytes: int) -> str:
    name = show_path(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(max_bytes + 1)
    except OSError as error:
        raise BadRow(f"{name} cannot be read: {error}") from error
    if len(raw) > max_bytes:
        raise BadRow(f"{name}: file is longer than {max_bytes} bytes")
    raw = raw.removeprefix(BOM)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadRow(f"{name}:{line}: not valid UTF-8") from None


def _extract(path: Path, text: str) -> tuple[str, str]:
    """(title or "", text) of a file."""
    suffix = path.suffix.lower()
    if suffix == ".md":
        return _markdown_title(text), text
    if suffix == ".txt":
        return "", text
    try:
        return extract_html(text)
    except ValueError as error:
        raise BadRow(f"{show_path(path)}: not readable as HTML: {error}") from error


def _markdown_title(text: str) -> str:
    """The first heading: "# Title", or a line above "===", outside of code blocks."""
    fenced, before = False, ""
    for line in text.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            if heading := re.match(r" {0,3}#{1,6}[ \t]+(.*)", line):
                title = re.sub(r"[ \t]#+[ \t]*$", "", heading[1]).strip()
                if title:
                    return title
            if before and re.fullmatch(r" {0,3}=+\s*", line):
                return before
        before = line.strip()
    return ""
