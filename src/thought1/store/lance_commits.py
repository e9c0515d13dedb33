"""Commits of several processes in one LanceDB table: one id, one row. Knows no search.

LanceDB works on the version that it has read, and checks at the commit what others have committed
since. Whether two merges add the same id it only knows if the table names its primary key;
then the later one reads again. That goes for every writer, of threads and processes alike.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from thought1.types import DiskFull, IndexUnavailable

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
_NO_SPACE = ("no space left", "not enough space on the disk", "quota exceeded")
_SOURCE_LINE = re.compile(r", /\S+\.rs(:\d+)*$")
"""LanceDB ends a message with the line of its own source."""
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
    read, and that two commits conflict. The operation must be one that can be repeated and reads
    the latest version each time.

    Raises:
        DiskFull: there is no space to write.
        IndexUnavailable: it still fails after CONFLICT_SECONDS or FAILURE_SECONDS.
    """
    start = time.monotonic()
    pause = 0.05
    while True:
        try:
            return operation(*arguments)
        except (OSError, RuntimeError) as error:
            conflict = any(word in str(error).lower() for word in _CONFLICT)
            patience = CONFLICT_SECONDS if conflict else FAILURE_SECONDS
            if _lacks_space(error) or time.monotonic() - start > patience:
                raise unusable(path, error) from error
        time.sleep(pause * random.uniform(0.5, 1.0))  # apart from each other the next time
        pause = min(2 * pause, 1.0)


def unusable(path: Path, error: BaseException) -> IndexUnavailable:
    """What a failure of LanceDB means for a user."""
    if _lacks_space(error):
        return DiskFull(
            f"the disk is full: nothing more can be written into the index at {path}. What was "
            "stored before is there; free some space, then do the same again"
        )
    return IndexUnavailable(f"the index at {path} cannot be used: {reason(error)}")


def reason(error: BaseException) -> str:
    """A failure of LanceDB in words, without the place in its source."""
    return "the disk is full" if _lacks_space(error) else _SOURCE_LINE.sub("", str(error))


def _lacks_space(error: BaseException) -> bool:
    """Whether the disk is full, or what this user may fill of it."""
    return any(words in str(error).lower() for words in _NO_SPACE)


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
