"""Lines and fields of input files: what is usable, and how a bad one is reported.

Knows neither the file formats (jsonl.py, tables.py, text_folder.py, trec.py) nor what becomes of
the documents. The `parse_` functions raise `BadRow` with the problem alone; the caller, who knows
the place, adds it with `BadRow.at`.
"""

import gzip
import itertools
import json
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from thought1.data.passages import CHARACTERS, Splitter
from thought1.types import Document, MetadataValue, Thought1Error

BOM = b"\xef\xbb\xbf"
_ID_FIELDS = ("_id", "id")
DOCUMENT_FIELDS = (*_ID_FIELDS, "text", "title")
"""The fields of a row that are not metadata."""
_RESERVED = frozenset({"id", "text", "title", "vector", "content_hash"})
_KINDS = {
    type(None): "null",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal number",
    list: "a list",
    dict: "an object",
}


class BadRow(Thought1Error):
    """One row of the input cannot be used; the message names file, line and problem."""

    def at(self, location: str) -> "BadRow":
        """The same problem with its place before it."""
        return BadRow(f"{location}: {self}")


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """How a corpus is read."""

    max_line_bytes: int = 64 * 2**20
    """Longest line, CSV field, or file of a text folder that is taken into memory."""
    splitter: Splitter = CHARACTERS
    """How a file of a text folder is split into passages."""

    def __post_init__(self) -> None:
        if self.max_line_bytes < 1:
            raise Thought1Error("max_line_bytes must be 1 or more")


DEFAULT_OPTIONS = CorpusOptions()


@dataclass(frozen=True, slots=True)
class Line:
    """One decoded line with its line end, and where it stands ("file:17")."""

    location: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One document, and where it stands."""

    location: str
    document: Document


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Something in a folder that is no document, and why: `what` is a suffix, such as ".pdf"."""

    what: str
    why: str


def read_lines(path: Path, max_bytes: int) -> Iterator[Line | BadRow]:
    """The lines of a UTF-8 file, one at a time; a name that ends in .gz is unpacked.

    Only "\\n" ends a line, so that numbers agree with other tools; a byte order mark at the start
    is dropped. A line of more than `max_bytes` or with bad UTF-8 becomes a `BadRow`.
    Raises Thought1Error where the file cannot be read.
    """
    name = show_path(path)
    try:
        with _open(path) as stream:
            for number in itertools.count(1):
                raw = stream.readline(max_bytes + 1)
                if not raw:
                    return
                location = f"{name}:{number}"
                if len(raw) > max_bytes and not raw.endswith(b"\n"):
                    _skip_line(stream)
                    yield BadRow(f"{location}: the line is longer than {max_bytes} bytes")
                else:
                    yield _decode_line(raw.removeprefix(BOM) if number == 1 else raw, location)
    except (OSError, EOFError, zlib.error) as error:
        raise Thought1Error(f"{name} cannot be read: {error}") from error


def _open(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _skip_line(stream: BinaryIO) -> None:
    while (raw := stream.readline(2**20)) and not raw.endswith(b"\n"):
        pass


def _decode_line(raw: bytes, location: str) -> Line | BadRow:
    try:
        return Line(location, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return BadRow(f"{location}: byte {error.start + 1} of the line is not valid UTF-8")


def parse_object(text: str) -> dict[str, object]:
    """The JSON object that `text` holds."""
    try:
        value = json.loads(text.rstrip())  # the line end would shift the column of the message
    except json.JSONDecodeError as error:
        raise BadRow(f"not valid JSON: {error.msg} (column {error.colno})") from None
    except (ValueError, RecursionError) as error:  # a huge integer, or thousands of brackets
        raise BadRow(f"not usable JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRow(f"needs a JSON object, not {_kind(value)}")
    return value


def parse_document(fields: Mapping[str, object]) -> Document:
    """A document from the fields of one row.

    `_id` (or `id`) and `text` are required, `title` is optional, every other scalar becomes
    metadata; a dictionary in the field `metadata`, as BEIR has it, is flattened by one level.
    """
    identifier, text = parse_id(fields), parse_text(fields)
    title = "" if fields.get("title") is None else _string(fields, "title")
    if not text.strip() and not title.strip():
        raise BadRow("document is empty: it has neither a text nor a title")
    return Document(identifier, text, title, _parse_metadata(fields))


def parse_id(fields: Mapping[str, object]) -> str:
    """The id of a row; integers become strings."""
    names = [name for name in _ID_FIELDS if name in fields]
    if not names:
        raise BadRow('field "_id" is missing; each row needs one')
    if len(names) > 1:
        raise BadRow('has both "_id" and "id"; keep one of them')
    value = fields[names[0]]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow(f'field "{names[0]}" must be a string or an integer, not {_kind(value)}')
    identifier = str(value)
    if not identifier.strip():
        raise BadRow(f'field "{names[0]}" is empty')
    _check_encodable(identifier, names[0])
    return identifier


def parse_text(fields: Mapping[str, object]) -> str:
    """The text of a row; it may be empty."""
    if "text" not in fields:
        raise BadRow('field "text" is missing; each row needs "_id" and "text"')
    return _string(fields, "text")


def check_metadata_name(name: str) -> None:
    """Raise BadRow where `name` cannot be the name of a metadata field."""
    if name in _RESERVED:
        raise BadRow(f"the name {quote(name)} is taken and cannot be used for metadata; rename it")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise BadRow(
            f"the metadata name {quote(name)} must be letters, digits and underscores only, "
            "and not begin with a digit; rename it"
        )


def _parse_metadata(fields: Mapping[str, object]) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {}
    for name, value in _metadata_fields(fields):
        check_metadata_name(name)
        if name in metadata:
            raise BadRow(f"metadata {quote(name)} is given twice")
        if value is not None:
            metadata[name] = _parse_scalar(name, value)
    return metadata


def _metadata_fields(fields: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in fields.items():
        if name == "metadata" and isinstance(value, dict):
            yield from value.items()
        elif name not in DOCUMENT_FIELDS:
            yield name, value


def _parse_scalar(name: str, value: object) -> MetadataValue:
    if not isinstance(value, str | int | float):
        raise BadRow(
            f"metadata {quote(name)} must be a string, a number or a boolean, not {_kind(value)}"
        )
    if isinstance(value, str):
        _check_encodable(value, name)
    elif isinstance(value, float) and not math.isfinite(value):
        raise BadRow(f"metadata {quote(name)} must be a finite number, not {value}")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise BadRow(f"metadata {quote(name)} does not fit into a 64-bit integer")
    return value


def _string(fields: Mapping[str, object], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise BadRow(f'field "{name}" must be a string, not {_kind(value)}')
    _check_encodable(value, name)
    return value


def _check_encodable(text: str, name: str) -> None:
    # JSON can spell half of a surrogate pair, which no UTF-8 file or store can hold.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRow(f"{quote(name)} holds a lone surrogate, which is no character") from None


def _kind(value: object) -> str:
    return _KINDS.get(type(value), f"a value of type {type(value).__name__}")


def quote(text: str) -> str:
    """A user's string for a message: quoted, short, and safe to print."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return json.dumps(short, ensure_ascii=not short.isprintable())


def show_path(path: Path) -> str:
    """A path for a message; bytes of its name that are not UTF-8 are written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
