"""Judgements and runs as one JSON object: query -> document -> number.

Knows neither TREC's formats nor what the numbers mean.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from thought1.data.rows import BadRow, read_lines, show_path
from thought1.types import Thought1Error

_MAX_BYTES = 2**32

Number = TypeVar("Number", int, float)


def read_json_table(
    path: Path, name: str, kind: Callable[[float], Number]
) -> dict[str, dict[str, Number]] | None:
    """What the file holds; None if it does not begin as a JSON object does.

    Args:
        name: of the numbers, for messages.
        kind: int refuses decimal numbers.

    Raises:
        Thought1Error: another JSON file, a number of the wrong kind, or a key twice.
    """
    if not _begins_as_object(path):
        return None
    texts = []
    for line in read_lines(path, _MAX_BYTES):
        if isinstance(line, BadRow):
            raise line
        texts.append(line.text)
    try:
        table = json.loads("".join(texts), object_pairs_hook=_unique)
        problem = _problem(table, name, whole=kind is int)
    except ValueError as error:
        problem = str(error)
    if problem:
        raise Thought1Error(
            f"{show_path(path)} is a JSON file, but not one object "
            f"{{query: {{document: {name}}}}}: {problem}; write it so, or in TREC's columns"
        )
    return {
        query: {document: kind(number) for document, number in row.items()}
        for query, row in table.items()
    }


def _begins_as_object(path: Path) -> bool:
    for line in read_lines(path, _MAX_BYTES):
        if isinstance(line, BadRow):
            return False
        if line.text.strip():
            return line.text.lstrip().startswith("{") and not _is_columns(line.text)
    return False


def _is_columns(line: str) -> bool:
    """Whether a line that begins with a brace is one of TREC's, with such an id."""
    columns = line.split("\t") if "\t" in line else line.split()
    place = {3: 2, 4: 3, 6: 4}.get(len(columns))  # of the grade, or of the score
    try:
        return place is not None and math.isfinite(float(columns[place]))
    except ValueError:
        return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return found


def _problem(table: Any, name: str, whole: bool) -> str:
    kinds = int if whole else int | float
    for query, row in table.items():
        if not isinstance(row, dict):
            return f"query {query!r} has no object"
        for document, number in row.items():
            allowed = not isinstance(number, bool) and isinstance(number, kinds)
            if not allowed or not math.isfinite(number):
                wanted = "an integer" if whole else "a number"
                return f"the {name} of {document!r} for {query!r} must be {wanted}"
    return "" if table else "it is empty"
