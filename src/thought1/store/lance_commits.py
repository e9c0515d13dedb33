"""Commits of several processes in one LanceDB table: one id, one row. Knows no search.

LanceDB works on the version that it has read, and checks at the commit what others have committed
since. Whether two merges add the same id it only knows if the table names its primary key;
then the later one reads again. That goes for every writer, of threads and processes alike.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from thought1.types import IndexUnavailable

try:
    import fcntl
except ImportError:  # Windows: two processes must not create one index at the same time there
    fcntl = None  # type: ignore[assignment]

CONFLICT_SECONDS = 120.0
"""How long an operation is repeated that loses against other writers; each round one of them
gets through, so this is time for hundreds of writers."""
FAILURE_SECONDS = 1.5
"""The same for other failures: files of an older version that were removed while they were read."""

_KEY = b"lance-schema:unenforced-primary-key"
_CONFLICT = ("conflict", "preempted", "concurrent", "contention")
_BLOCK = 10_000
"""Rows in one SQL expression."""

T = TypeVar("T")


def id_field() -> pa.Field:
    """The column of ids, as the primary key of a new table."""
    return pa.field("id", pa.string(), nullable=False, metadata={_KEY: b"true"})


def ensure_key(table: Any) -> None:
    """Make `id` the primary key of a table that an earlier version of this program made."""
    if not _has_key(table):
        try:
            table.set_unenforced_primary_key("id")
        except ValueError:
            if not _has_key(table):  # else another process was faster
                raise


def remove_doubles(table: Any) -> None:
    """Keep one row of each id, the last one written: which writers without a key have left."""
    rows = table.search().select(["id"]).with_row_id(True).limit(None).to_arrow()
    if pc.count_distinct(rows["id"]).as_py() == len(rows):
        return
    last = dict(zip(rows["id"].to_pylist(), rows["_rowid"].to_pylist(), strict=True))
    doubles = sorted(set(rows["_rowid"].to_pylist()) - set(last.values()))
    # A row that is moved or replaced meanwhile gets a number that no row had before.
    for start in range(0, len(doubles), _BLOCK):
        numbers = ", ".join(map(str, doubles[start : start + _BLOCK]))
        table.delete(f"_rowid IN ({numbers})")


def retrying(path: Path, operation: Callable[..., T], *arguments: object) -> T:
    """Do it, and again where another process got in between.

    LanceDB reports as RuntimeError that files of an older version were removed while they were
    read, and that two commits conflict; as ValueError that a file is damaged, which no repetition
    mends. The operation must be one that can be repeated and reads the latest version each time.

    Raises:
        IndexUnavailable: a file is damaged, or it still fails after CONFLICT_SECONDS or
            FAILURE_SECONDS.
    """
    start = time.monotonic()
    pause = 0.05
    while True:
        try:
            return operation(*arguments)
        except (OSError, RuntimeError) as error:
            conflict = any(word in str(error).lower() for word in _CONFLICT)
            if time.monotonic() - start > (CONFLICT_SECONDS if conflict else FAILURE_SECONDS):
                raise IndexUnavailable(f"the index at {path} cannot be used: {error}") from error
        except ValueError as error:
            raise IndexUnavailable(f"the index at {path} cannot be used: {error}") from error
        time.sleep(pause * random.uniform(0.5, 1.0))  # apart from each other the next time
        pause = min(2 * pause, 1.0)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes and threads that do the same in this folder waiting.

    The folder, which is made where it is missing, is locked itself; a kill frees it.

    Raises:
        IndexUnavailable: it can be neither made nor opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = None if fcntl is None else os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise IndexUnavailable(f"the folder {folder} cannot be used: {error}") from error
    if handle is None:
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _has_key(table: Any) -> bool:
    metadata = table.schema.field("id").metadata or {}
    return any(name.startswith(_KEY) for name in metadata)
