"""JSON lines as records: each line an object. Knows neither what its fields mean nor folders."""

from collections.abc import Iterator
from pathlib import Path

from thought1.data.rows import BadRow, CorpusOptions, Record, parse_object, read_lines


def read_jsonl(path: Path, options: CorpusOptions) -> Iterator[Record | BadRow]:
    """The objects of a file of JSON lines, packed or not; blank lines are ignored."""
    for line in read_lines(path, options.max_line_bytes):
        if isinstance(line, BadRow):
            yield line
        elif line.text.strip():
            try:
                yield Record(line.location, parse_object(line.text))
            except BadRow as bad:
                yield bad.at(line.location)
