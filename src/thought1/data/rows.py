"""Lines and fields of input files: what is usable, and how a bad one is reported.

Knows neither the file formats (jsonl.py, tables.py, text_folder.py, trec.py) nor what becomes of
the documents. The `parse_` functions raise `BadRow` with only the problem; the caller, who knows
the place, adds it with `BadRow.at`.
"""

import gzip
import itertools
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from thought1.data.passages import CHARACTERS, Splitter
from thought1.store.metadata import to_metadata_value
from thought1.types import Document, Metadata, MetadataValue, Thought1Error

BOM = b"\xef\xbb\xbf"
_ID_FIELDS = ("_id", "id")
DOCUMENT_FIELDS = (*_ID_FIELDS, "text", "title")
"""The fields of a row that are not metadata."""
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
    """One decoded line with its line end, and its location ("file:17")."""

    location: str
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of one row as its format has them, and its location."""

    location: str
    fields: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Row:
    """One document, and its location."""

    location: str
    document: Document
    left_out: tuple[str, ...] = ()
    """Metadata fields whose values no store can hold."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Something in a folder that is not a document, and why: `what` is a suffix, such as ".pdf"."""

    what: str
    why: str


def read_lines(path: Path, max_bytes: int) -> Iterator[Line | BadRow]:
    """The lines of a UTF-8 file, one at a time; a name that ends in .gz is unpacked.

    Only "\\n" ends a line, so that numbers agree with other tools; a byte order mark at the start
    is dropped. A line of more than `max_bytes` or with bad UTF-8 becomes a `BadRow`.
    Raises Thought1Error if the file cannot be read.
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


def to_row(record: Record | BadRow) -> Row | BadRow:
    """The document of a record."""
    if isinstance(record, BadRow):
        return record
    try:
        return _parse_row(record)
    except BadRow as bad:
        return bad.at(record.location)


def parse_document(fields: Mapping[str, object]) -> Document:
    """A document from the fields of one row.

    `_id` (or `id`) and `text`, which may be empty, are required, `title` is optional, every other
    field becomes metadata (`to_metadata_value`); a dictionary in the field `metadata`, as BEIR has
    it, is flattened by one level.
    """
    return _parse_row(Record("", fields)).document


def _parse_row(record: Record) -> Row:
    fields = record.fields
    identifier, text = parse_id(fields), parse_text(fields)
    title = "" if _is_missing(fields.get("title")) else _string(fields, "title")
    metadata, left_out = _parse_metadata(fields)
    return Row(record.location, Document(identifier, text, title, metadata), left_out)


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


def _parse_metadata(fields: Mapping[str, object]) -> tuple[Metadata, tuple[str, ...]]:
    """Every other field of a row, and the names of those that no store can hold.

    A name inside of `metadata` that a field of the row has too gets `metadata.` before it.
    """
    metadata: dict[str, MetadataValue] = {}
    left_out = []
    for name, value in _metadata_fields(fields):
        place = f"metadata.{name}" if name in metadata else name
        try:
            place.encode()
            plain = to_metadata_value(value)
        except (Thought1Error, UnicodeEncodeError):
            left_out.append(name)
            continue
        if place in metadata:
            left_out.append(name)
        elif plain is not None:
            metadata[place] = plain
    return metadata, tuple(left_out)


def _metadata_fields(fields: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    nested = fields.get("metadata")
    flattened = ("metadata",) if isinstance(nested, dict) else ()
    yield from ((n, v) for n, v in fields.items() if n not in (*DOCUMENT_FIELDS, *flattened))
    if isinstance(nested, dict):
        yield from nested.items()


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _string(fields: Mapping[str, object], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        kind = "NaN" if isinstance(value, float) and math.isnan(value) else _kind(value)
        raise BadRow(f'field "{name}" must be a string, not {kind}')
    _check_encodable(value, name)
    return value


def _check_encodable(text: str, name: str) -> None:
    # JSON can spell half of a surrogate pair, which no UTF-8 file or store can hold.
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise BadRow(f"{quote(name)} holds a lone surrogate, which is not a character") from None


def _kind(value: object) -> str:
    return _KINDS.get(type(value), f"a value of type {type(value).__name__}")


def quote(text: str) -> str:
    """A user's string for a message: quoted, short, and safe to print."""
    short = text if len(text) <= 60 else text[:57] + "..."
    return json.dumps(short, ensure_ascii=not short.isprintable())


def show_path(path: Path) -> str:
    """A path for a message; bytes of its name that are not UTF-8 are written as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
