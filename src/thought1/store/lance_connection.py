"""How LanceDB is opened: every read sees the latest commit, and what it keeps in memory is bounded.

LanceDB keeps what it has read of every version of a table. Its own limits are 6 GiB and 1 GiB,
which a process that reads and writes for long fills, commit by commit.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb

INDEX_BYTES = 512 * 2**20
"""Parts of the indexes of words and vectors, of all tables of this process."""
METADATA_BYTES = 32 * 2**20
"""Manifests and the heads of data files, likewise."""

_SESSION = lancedb.Session(INDEX_BYTES, METADATA_BYTES)


def connect(path: Path) -> Any:
    """The database in this folder."""
    # interval 0: every read looks for commits of other processes
    return lancedb.connect(str(path), read_consistency_interval=timedelta(0), session=_SESSION)
