"""Which reader a file needs, by its extension.

Knows neither what the records hold nor folders. `.gz` may follow where lines are read.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from thought1.data.jsonl import read_jsonl
from thought1.data.rows import BadRow, CorpusOptions, Record
from thought1.data.tables import read_csv, read_parquet

Reader = Callable[[Path, CorpusOptions], Iterator[Record | BadRow]]

_LINES: Mapping[str, Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
}
FILES = ".jsonl, .ndjson, .csv or .tsv file (also packed: .gz), a .parquet file"
"""What `find_reader` knows, for messages."""


def suffix_of(path: Path) -> str:
    """The end of a name in small letters, without the `.gz` of a packed file: ".csv"."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def find_reader(path: Path) -> Reader | None:
    """What reads the file as records; None if its name has another end."""
    if path.name.lower().endswith(".parquet"):
        return read_parquet
    return _LINES.get(suffix_of(path))
