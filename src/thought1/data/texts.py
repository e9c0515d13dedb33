"""Queries and thoughts: a text for each id, from any file that holds records.

They are small and fully in the caller's memory, so the first bad row is an error.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from thought1.data.files import find_reader
from thought1.data.jsonl import read_jsonl
from thought1.data.rows import (
    DEFAULT_OPTIONS,
    BadRow,
    parse_id,
    parse_text,
    quote,
    show_path,
)
from thought1.types import Query, Thought1Error


def read_queries(path: Path) -> list[Query]:
    """The queries of a BEIR `queries.jsonl`, in file order; other fields are ignored.

    So may be any file that `find_reader` knows; under another name, JSON lines are expected. A
    row that only repeats another counts once (EntailmentBank has such lines). Raises Thought1Error
    with its place: bad row, empty text, one id with two texts, no queries.
    """
    return [Query(key, text) for key, text in _read_texts(path, "query").items()]


def read_thoughts(path: Path) -> dict[str, str]:
    """Query id -> thought, from rows of `_id` and `text`; other fields are ignored.

    The rules are those of `read_queries`.
    """
    return _read_texts(path, "thought")


def _read_texts(path: Path, noun: str) -> dict[str, str]:
    def parse(fields: Mapping[str, object]) -> tuple[str, str]:
        key, text = parse_id(fields), parse_text(fields)
        if not text.strip():
            raise BadRow(f"the {noun} is empty")
        return key, text

    return read_by_id(path, parse, "text")


def read_by_id(
    path: Path, parse: Callable[[Mapping[str, object]], tuple[str, str]], noun: str
) -> dict[str, str]:
    """What `parse` makes of each row of a file: id -> `noun`.

    A row that only repeats another counts once.

    Raises:
        Thought1Error: with its place: bad row, one id with two texts; no row at all.
    """
    reader = find_reader(path) or read_jsonl
    texts: dict[str, str] = {}
    for record in reader(path, DEFAULT_OPTIONS):
        if isinstance(record, BadRow):
            raise record
        try:
            key, text = parse(record.fields)
            if texts.setdefault(key, text) != text:
                raise BadRow(f"the id {quote(key)} has occurred before, with another {noun}")
        except BadRow as bad:
            raise bad.at(record.location) from None
    if not texts:
        raise Thought1Error(f'{show_path(path)} is empty; it needs lines {{"_id", "text"}}')
    return texts
