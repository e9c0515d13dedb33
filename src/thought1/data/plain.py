"""Plain text, where each line is a text of its own, and what only looks like it.

A file of JSON or a table that is read as plain text would be embedded as it is, braces, field
names and all, and nothing would show it.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from thought1.data.files import FILES, suffix_of
from thought1.data.rows import DEFAULT_OPTIONS, BadRow, read_lines, show_path
from thought1.types import Thought1Error


def read_plain(path: Path) -> Iterator[str]:
    """The lines of a `.txt` file (may be .gz), without their ends; empty ones count.

    Raises:
        Thought1Error: another suffix, or a line that is not plain text, with its location.
    """
    if suffix_of(path) != ".txt":
        raise Thought1Error(
            f"{show_path(path)} is not a supported file: texts come from a .txt file with "
            f"one in each line, or from a {FILES}"
        )
    return _checked_lines(path)


def _checked_lines(path: Path) -> Iterator[str]:
    for number, line in enumerate(read_lines(path, DEFAULT_OPTIONS.max_line_bytes), start=1):
        if isinstance(line, BadRow):
            raise line
        text = line.text.rstrip("\r\n")
        check_plain(text, number, line.location, "name the file by what it is (.jsonl, .csv, .tsv)")
        yield text


def check_plain(text: str, number: int, place: str, remedy: str) -> None:
    """Refuse a line of JSON, and the header of a table in the first line.

    Args:
        number: of the line, from 1.

    Raises:
        Thought1Error: with `place` before it and `remedy` after it.
    """
    if _is_json(text, number):
        what = "JSON"
    elif number == 1 and _is_header(text):
        what = "the header of a table"
    else:
        return
    raise Thought1Error(f"{place} is {what}, but here each line is taken for a text: {remedy}")


def _is_json(text: str, number: int) -> bool:
    text = text.strip()
    if text in ("{", "["):  # of a document that goes on below
        return number == 1
    if not text.startswith(("{", "[")):
        return False
    try:
        value = json.loads(text.removesuffix(","))
    except (ValueError, RecursionError):
        return False
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, dict) for item in items)


def _is_header(text: str) -> bool:
    """Whether it names the columns that a table of texts needs."""
    for delimiter in ",\t":
        columns = next(csv.reader([text], delimiter=delimiter), [])
        if "text" in columns and not {"_id", "id"}.isdisjoint(columns):
            return True
    return False
