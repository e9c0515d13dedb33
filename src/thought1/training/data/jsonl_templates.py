"""Lines of training files, and JSON lines written out by a pattern.

It knows files and JSON, not what the texts are for.
"""

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from thought1.data.rows import BadRow, Line, parse_object, read_lines
from thought1.types import Thought1Error

MAX_LINE_BYTES = 64 * 2**20


def text_lines(path: Path) -> Iterator[Line]:
    """The lines that are not blank, gzip or not; a broken one is an error with its place."""
    for line in read_lines(path, MAX_LINE_BYTES):
        if isinstance(line, BadRow):
            raise Thought1Error(str(line))
        if line.text.strip():
            yield line


def objects(path: Path) -> Iterator[tuple[Line, dict[str, Any]]]:
    """The JSON objects of a file, one a line, with their lines."""
    for line in text_lines(path):
        try:
            yield line, parse_object(line.text)
        except BadRow as error:
            raise Thought1Error(f"{line.location}: {error}") from None


def filled(
    path: Path, template: str, joint: str = ", "
) -> Iterator[tuple[Line, dict[str, Any], str]]:
    """Each JSON object of a file with its line, and the pattern `template` filled with its fields.

    Lists are joined by `joint`.

    Raises:
        Thought1Error: a broken line or pattern, or a field that an object lacks.
    """
    names = _slots(template)
    for line, fields in objects(path):
        missing = [name for name in names if fields.get(name) is None]
        if missing:
            raise Thought1Error(f"{line.location}: field {missing[0]!r} is missing")
        values = {name: _joined(fields[name], joint) for name in names}
        yield line, fields, template.format(**values)


def _slots(template: str) -> list[str]:
    """The names of the fields that a pattern shows."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise Thought1Error(f"the template {template!r} is broken: {error}") from None
    slots = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
    names = [name for name, _, _ in slots]
    plain = all(name and not set(name) & set(".[") for name in names)
    if not names or not plain or any(spec or conversion for _, spec, conversion in slots):
        raise Thought1Error(f"the template {template!r} needs slots that are names, as {{text}}")
    return names


def _joined(value: object, joint: str) -> str:
    return joint.join(map(str, value)) if isinstance(value, list) else str(value)
