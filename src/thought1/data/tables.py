"""CSV, TSV and Parquet files as records, one for each row.

Knows nothing of ids across rows or of what a document may hold: rows.py does. pyarrow is imported
when a Parquet file is read, not before.
"""

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from thought1.data.rows import (
    DOCUMENT_FIELDS,
    BadRow,
    CorpusOptions,
    Line,
    Record,
    parse_id,
    parse_text,
    quote,
    read_lines,
    show_path,
)
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from pyarrow import Array

_BATCH_ROWS = 256  # rows of a Parquet file that are in memory at a time


def read_csv(path: Path, options: CorpusOptions) -> Iterator[Record | BadRow]:
    """The rows of a `.csv` or `.tsv` file, packed or not, whose first row names the columns.

    Values are strings; an empty cell is a missing value, except in columns of id, text and title.
    """
    columns: list[str] | None = None
    for cells in _read_cells(path, options.max_line_bytes):
        if columns is None:
            columns = _parse_header(cells)
        elif isinstance(cells, BadRow):
            yield cells
        else:
            yield _parse_cells(columns, cells)


_Cells = tuple[str, list[str]]
"""The place where a row begins, and its cells."""


def _read_cells(path: Path, limit: int) -> Iterator[_Cells | BadRow]:
    lines = _RecordLines(path, limit)
    packed = path.name.lower().removesuffix(".gz")
    dialect = "excel-tab" if packed.endswith(".tsv") else "excel"
    reader = csv.reader(lines, dialect, strict=True)
    while True:
        lines.begin()
        try:
            cells = _next_cells(reader, limit)
        except StopIteration:
            return
        except BadRow as bad:
            yield bad
            lines.rewind()
        except csv.Error as error:
            yield BadRow(f"{lines.location}: not a valid row: {error}")
            lines.rewind()
        else:
            if len(cells) > 1 or "".join(cells).strip():
                yield lines.location, cells


class _RecordLines(Iterator[str]):
    """The lines that the csv reader consumes, kept until their record is known to be good.

    A quote that is never closed makes the reader swallow the rows after it. `rewind` gives them
    back, all but the first line, so that one bad row costs no other.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._lines = read_lines(path, max_bytes)
        self._again: deque[Line] = deque()
        self._record: list[Line] = []

    @property
    def location(self) -> str:
        """Where the current record begins."""
        return self._record[0].location

    def begin(self) -> None:
        """The next line begins a record."""
        self._record = []

    def rewind(self) -> None:
        """Read the lines of the current record again, all but its first."""
        self._again.extendleft(reversed(self._record[1:]))

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        if isinstance(line, BadRow):
            raise line
        self._record.append(line)
        return line.text


def _next_cells(reader: Iterator[list[str]], limit: int) -> list[str]:
    # The limit belongs to the whole process, so it is ours only while a row is being read.
    before = csv.field_size_limit(limit)
    try:
        return next(reader)
    finally:
        csv.field_size_limit(before)


def _parse_header(record: _Cells | BadRow) -> list[str]:
    """The column names; a header that makes every row bad is an error of the whole file."""
    if isinstance(record, BadRow):
        raise Thought1Error(f"{record}; the first row must name the columns")
    location, cells = record
    # What pandas makes of its index, written without a name.
    columns = [name or f"Unnamed: {place}" for place, name in enumerate(cells)]
    try:
        header = dict.fromkeys(columns, "-")
        parse_id(header)
        parse_text(header)
    except BadRow as bad:
        raise Thought1Error(f"{location}: the first row must name the columns: {bad}") from None
    _check_columns(columns, location)
    return columns


def _parse_cells(columns: list[str], record: _Cells) -> Record | BadRow:
    location, cells = record
    if len(cells) != len(columns):
        return BadRow(f"{location}: has {len(cells)} columns, but the first row has {len(columns)}")
    pairs = zip(columns, cells, strict=True)
    return Record(location, {name: cell for name, cell in pairs if cell or name in DOCUMENT_FIELDS})


def read_parquet(path: Path, options: CorpusOptions) -> Iterator[Record | BadRow]:
    """The rows of a `.parquet` file, counted from 1; `options` hold nothing that applies here.

    A value that Python cannot hold is an exception among the fields: no metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name, number = show_path(path), 0
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, name)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                columns = dict(zip(batch.schema.names, map(_to_microseconds, batch), strict=True))
                for i in range(batch.num_rows):
                    number += 1
                    yield _parse_slice(columns, i, f"{name}: row {number}")
    except (pa.ArrowException, OSError) as error:
        raise Thought1Error(f"{name} cannot be read as Parquet: {error}") from error


def _check_columns(names: Sequence[str], place: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise Thought1Error(f"{place}: two columns are named {quote(name)}; rename one of them")


def _to_microseconds(column: "Array") -> "Array":
    """Times in nanoseconds, as pandas has them, are cut: Python's go no further."""
    import pyarrow as pa

    kind = column.type
    if getattr(kind, "unit", "") != "ns":
        return column
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return column.cast(pa.time64("us") if pa.types.is_time(kind) else pa.duration("us"), safe=False)


def _parse_slice(columns: Mapping[str, "Array"], row: int, location: str) -> Record | BadRow:
    fields: dict[str, object] = {}
    for name, column in columns.items():
        try:
            fields[name] = column[row].as_py()
        except (ValueError, OverflowError, KeyError) as error:
            # Bad UTF-8, a date that Python cannot hold, a time zone that is not known here.
            if name in DOCUMENT_FIELDS:
                return BadRow(f"{location}: cannot be read: {error}")
            fields[name] = error
    return Record(location, fields)
