"""A folder of text, Markdown, reStructuredText and HTML files as documents: one for each passage.

Knows neither JSON nor tables. A file is at most `max_line_bytes` long, so that memory stays
bounded. Hidden files and folders, linked folders and files of other kinds are passed over, and
what is skipped is reported.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from thought1.data.html_text import extract_html
from thought1.data.markup import (
    NO_FRONT_MATTER,
    Cleaned,
    FrontMatter,
    markdown_headings,
    read_front_matter,
    rest_headings,
)
from thought1.data.passages import Heading, Passage, split_passages
from thought1.data.rows import (
    BOM,
    BadRow,
    CorpusOptions,
    PassedOver,
    Row,
    parse_document,
    show_path,
)
from thought1.store.metadata import to_metadata_value
from thought1.types import MetadataValue, Thought1Error

_PLAIN = (".txt", ".text")
_MARKDOWN = (".md", ".markdown", ".mdx")
_REST = (".rst",)
_HTML = (".html", ".htm", ".xhtml")
TEXT_SUFFIXES = (*_PLAIN, *_MARKDOWN, *_REST, *_HTML)
DATA_SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

_OWN_FIELDS = ("source", "start", "end", "folder")
"""What is stored of every passage; the folder is added where an index follows it."""


@dataclass(frozen=True, slots=True)
class _Text:
    """What a file holds."""

    cleaned: Cleaned
    title: str = ""
    headings: list[Heading] = field(default_factory=list)
    front: FrontMatter = NO_FRONT_MATTER


def scan_texts(folder: Path) -> Iterator[Path | PassedOver]:
    """The text files below `folder`, by name, folder by folder, and all other files.

    Raises:
        Thought1Error: a folder cannot be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Thought1Error(f"{show_path(folder)} cannot be read: {error}") from error
    for entry in entries:
        path = folder / entry.name
        suffix = path.suffix.lower()
        what = "folder" if entry.is_dir() else show_path(Path(suffix)) if suffix else "file"
        if entry.name.startswith("."):
            yield PassedOver(what, "hidden")
        elif entry.is_dir() and entry.is_symlink():
            yield PassedOver(what, "linked: index it by its own name")
        elif entry.is_dir():
            yield from scan_texts(path)
        elif not entry.is_file():
            yield PassedOver(what, "no file, or a link that leads nowhere")
        elif suffix in TEXT_SUFFIXES:
            yield path
        elif path.with_suffix("").suffix.lower() in DATA_SUFFIXES or suffix in DATA_SUFFIXES:
            yield PassedOver(what, "rows, not a text: index it by its own name")
        else:
            yield PassedOver(what, "not a kind of text that is read")


def list_sources(folder: Path) -> list[str]:
    """The names of the text files below `folder`, relative to it: what `source` says of them."""
    return [p.relative_to(folder).as_posix() for p in scan_texts(folder) if isinstance(p, Path)]


def read_text_folder(folder: Path, options: CorpusOptions) -> Iterator[Row | BadRow | PassedOver]:
    """The passages of every file: id "notes/ice.md#0", title, and `source`, `start`, `end`.

    `source` is the path relative to `folder`. `start` and `end` are character offsets into the
    decoded file (without a byte order mark), for HTML into the text that was extracted; files
    inlined as base64 are left out of the text between them. The title is the text's title and
    the headings above the passage ("Guide > Install > Linux"); the text's title is the front
    matter's, the first heading, the HTML `<title>` or `<h1>`, else the file's name. The other
    fields of the front matter are metadata of every passage.
    """
    for path in scan_texts(folder):
        if isinstance(path, PassedOver):
            yield path
            continue
        try:
            yield from _read_file(path, path.relative_to(folder).as_posix(), options)
        except BadRow as bad:
            yield bad


def _read_file(path: Path, source: str, options: CorpusOptions) -> Iterator[Row | PassedOver]:
    text = _extract(path, _read_text(path, options.max_line_bytes))
    name, kind = show_path(path), path.suffix.lower()
    if text.front.problem:
        yield PassedOver(f"front matter of {name}", f"{text.front.problem}; it is read as text")
    metadata, problems = _metadata(text.front.fields)
    for problem in problems:
        yield PassedOver(f"{kind} front matter", problem)
    title, number = text.title or path.stem, -1
    passages = split_passages(text.cleaned.text, options.splitter, title, text.headings)
    for number, passage in enumerate(passages):
        row = _row(name, f"{source}#{number}", text, passage)
        start, end = text.cleaned.origin(passage.start, passage.end)
        own = {**metadata, "source": source, "start": start, "end": end}
        yield replace(row, document=replace(row.document, metadata=own))
    if number < 0:
        yield PassedOver(kind, "without any text")


def _row(name: str, identifier: str, text: _Text, passage: Passage) -> Row:
    words = text.cleaned.text[passage.start : passage.end]
    try:
        document = parse_document({"_id": identifier, "text": words, "title": passage.path})
    except BadRow as bad:  # a file name that is not valid UTF-8
        raise bad.at(name) from None
    return Row(f"{name}: passage {identifier.rpartition('#')[2]}", document)


def _metadata(fields: Mapping[object, object]) -> tuple[dict[str, MetadataValue], list[str]]:
    """The fields of a front matter as metadata, and what became of the others."""
    metadata: dict[str, MetadataValue] = {}
    problems = []
    for key, value in fields.items():
        name = str(key)
        if name in _OWN_FIELDS:
            problems.append(f"the field {name!r} is left out: the name is taken")
        elif name != "title":
            try:
                converted = to_metadata_value(value)
            except Thought1Error as error:
                problems.append(f"the field {name!r} is left out: it {error}")
                continue
            if converted is not None:
                metadata[name] = converted
    return metadata, problems


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


def _extract(path: Path, content: str) -> _Text:
    suffix = path.suffix.lower()
    if suffix in _HTML:
        try:
            page = extract_html(content)
        except ValueError as error:
            raise BadRow(f"{show_path(path)}: not readable as HTML: {error}") from error
        return _Text(Cleaned(page.text), page.title, page.headings)
    front = read_front_matter(content) if suffix in _MARKDOWN else NO_FRONT_MATTER
    cleaned = Cleaned(content, front.end)
    headings = markdown_headings(cleaned.text) if suffix in _MARKDOWN else []
    headings = rest_headings(cleaned.text) if suffix in _REST else headings
    title = front.title or (headings[0].text if headings else "")
    return _Text(cleaned, title, headings, front)
