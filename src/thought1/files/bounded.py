"""Texts by key in one SQLite file of bounded size, for several processes at a time.

What was not read or written for longest goes first. A cache: where the file is broken, locked or
cannot be written, nothing is found and nothing is kept, and a warning is logged once. Texts are
stored as they are, so that a foreign file can bring wrong texts but no code. Knows nothing of what
the texts mean.
"""

import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds to wait for another process that writes."""
_PART = 500
"""Keys of one statement."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS kept "
    "(key TEXT PRIMARY KEY, value TEXT NOT NULL, bytes INTEGER NOT NULL, used REAL NOT NULL)"
)
_ORDER = "CREATE INDEX IF NOT EXISTS by_use ON kept (used)"


@dataclass
class BoundedFile:
    """A file of texts, which is made with the first one."""

    path: Path
    most: int
    """Bytes of all keys and texts together; the file itself is a little larger."""
    _told: bool = field(default=False, init=False, repr=False)

    def get(self, keys: Sequence[str]) -> dict[str, str]:
        """The texts of those keys that are there, which count as used now."""
        if not self.path.is_file():
            return {}
        return self._done(partial(_get, keys)) or {}

    def put(self, texts: Mapping[str, str]) -> None:
        """Keep texts; what is too much by then goes."""
        if texts:
            self._done(partial(_put, texts, self.most))

    def _done(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """One transaction: all of it or nothing."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(0o600)  # a new file is its owner's alone
            with closing(sqlite3.connect(self.path, timeout=PATIENCE)) as file, file:
                file.execute("PRAGMA auto_vacuum = FULL")  # of a new file: it shrinks again
                file.execute(_TABLE)
                file.execute(_ORDER)
                file.execute("BEGIN IMMEDIATE")
                return work(file)
        except (sqlite3.Error, OSError) as error:
            if not self._told:
                self._told = True
                logger.warning("%s cannot be used as a cache: %s", self.path, error)
            return None


def _get(keys: Sequence[str], file: sqlite3.Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(keys), _PART):
        part = list(dict.fromkeys(keys[start : start + _PART]))
        marks = ",".join("?" * len(part))
        rows = file.execute(f"SELECT key, value FROM kept WHERE key IN ({marks})", part)
        found.update((str(key), str(value)) for key, value in rows)
    now = time.time()
    file.executemany("UPDATE kept SET used = ? WHERE key = ?", [(now, key) for key in found])
    return found


def _put(texts: Mapping[str, str], most: int, file: sqlite3.Connection) -> None:
    now = time.time()
    rows = [(k, text, len(k) + len(text.encode()), now) for k, text in texts.items()]
    file.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)", rows)
    (total,) = file.execute("SELECT COALESCE(SUM(bytes), 0) FROM kept").fetchone()
    while total > most:
        oldest = file.execute("SELECT key, bytes FROM kept ORDER BY used, rowid LIMIT 100")
        for key, size in oldest.fetchall():
            if total <= most:
                break
            file.execute("DELETE FROM kept WHERE key = ?", (key,))
            total -= size
