"""JSON lines: documents, queries and thoughts, each line an object with "_id" and "text".

Knows neither folders nor duplicate documents (corpus.py does). Queries and thoughts are small and
fully in the caller's memory, so the first bad line is an error; documents are streamed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from thought1.data.rows import (
    DEFAULT_OPTIONS,
    BadRow,
    CorpusOptions,
    Line,
    Row,
    parse_document,
    parse_id,
    parse_object,
    parse_text,
    quote,
    read_lines,
    show_path,
)
from thought1.types import Query, Thought1Error


def read_jsonl(path: Path, options: CorpusOptions) -> Iterator[Row | BadRow]:
    """The documents of a `.jsonl` or `.jsonl.gz` file; blank lines are ignored."""
    for line in read_lines(path, options.max_line_bytes):
        if isinstance(line, BadRow):
            yield line
        elif line.text.strip():
            yield _parse_row(line)


def _parse_row(line: Line) -> Row | BadRow:
    try:
        return Row(line.location, parse_document(parse_object(line.text)))
    except BadRow as bad:
        return bad.at(line.location)


def read_queries(path: Path) -> list[Query]:
    """The queries of a BEIR `queries.jsonl` (may be .gz), in file order; other fields are ignored.

    A line that only repeats another counts once (EntailmentBank has such lines). Raises
    Thought1Error with file and line: bad line, empty text, one id with two texts, no queries.
    """
    return [Query(key, text) for key, text in _read_texts(path, "query").items()]


def read_thoughts(path: Path) -> dict[str, str]:
    """Query id -> thought, from lines `{"_id", "text"}` (may be .gz); other fields are ignored.

    The rules are those of `read_queries`.
    """
    return _read_texts(path, "thought")


def _read_texts(path: Path, noun: str) -> dict[str, str]:
    def parse(fields: dict[str, object]) -> tuple[str, str]:
        key, text = parse_id(fields), parse_text(fields)
        if not text.strip():
            raise BadRow(f"the {noun} is empty")
        return key, text

    return read_by_id(path, parse, "text")


def read_by_id(
    path: Path, parse: Callable[[dict[str, object]], tuple[str, str]], noun: str
) -> dict[str, str]:
    """What `parse` makes of each object of a `.jsonl` or `.jsonl.gz` file: id -> `noun`.

    A line that only repeats another counts once; blank lines are ignored.

    Raises:
        Thought1Error: with file and line: bad line, one id with two texts; no line at all.
    """
    texts: dict[str, str] = {}
    for line in read_lines(path, DEFAULT_OPTIONS.max_line_bytes):
        if isinstance(line, BadRow):
            raise line
        if not line.text.strip():
            continue
        try:
            key, text = parse(parse_object(line.text))
            if texts.setdefault(key, text) != text:
                raise BadRow(f"the id {quote(key)} has occurred before, with another {noun}")
        except BadRow as bad:
            raise bad.at(line.location) from None
    if not texts:
        raise Thought1Error(f'{show_path(path)} is empty; it needs lines {{"_id", "text"}}')
    return texts
