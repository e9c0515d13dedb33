"""Models kept on disk in the form in which they load fast: folders that appear whole or not at all.

Several processes may share the folder; where it cannot be written, nothing is kept. It knows
names, files and sizes, neither torch nor what a model is: whether an entry still holds what was put
into it is its reader's business.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from thought1.data.hashing import hash_json
from thought1.files.user_cache import user_cache

VARIABLE = "T1_MODEL_CACHE"
"""Another folder, or `off`."""
LIMIT = 4 * 10**9
"""Bytes of all entries together; what was not used for longest goes first."""

_RECORD = "kept.json"
_STAGED = ".keeping-"
_ABANDONED = 3600.0
"""Seconds after which what a killed process left half written is removed."""

Key = Mapping[str, str | int]
"""Whatever decides the content of an entry, by name."""


@dataclass(frozen=True, slots=True)
class CacheRecord:
    """What an entry says of itself."""

    key: dict[str, str | int]
    model: str
    """How it was called when it was kept."""
    content: str
    """The hash by which its reader knows it again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry."""

    model: str
    """How it was called when it was kept; "" of a broken entry."""
    folder: Path
    bytes: int
    used: float
    """When it was last read or written, in seconds since the epoch."""


def cache_folder() -> Path | None:
    """Where models are kept; None if they are not."""
    named = os.environ.get(VARIABLE)
    if named:
        return None if named == "off" else Path(named)
    base = user_cache()
    return base and base / "models"


def find(key: Key) -> tuple[Path, CacheRecord] | None:
    """The entry of that key, noted as used; None if there is none. A broken one is removed."""
    folder = _folder(key)
    if folder is None or not folder.exists():
        return None
    record = _read(folder)
    if record is None or record.key != key:
        discard(folder)
        return None
    with suppress(OSError):
        os.utime(folder / _RECORD)
    return folder, record


def keep(record: CacheRecord, size: int, write: Callable[[Path], None]) -> Path | None:
    """Let `write` fill a new entry of about `size` bytes; None if none came about.

    An entry of the same key stays, if another process was faster.

    Args:
        write: is given an empty folder; it may raise an OSError.
    """
    target = _folder(record.key)
    if target is None:
        return None
    staged = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _evict(target.parent, size):
            return None
        staged = Path(tempfile.mkdtemp(prefix=_STAGED, dir=target.parent))
        write(staged)
        (staged / _RECORD).write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
        staged.rename(target)  # refused if an entry exists
    except OSError:
        return None
    finally:
        if staged:
            shutil.rmtree(staged, ignore_errors=True)
    return target


def discard(folder: Path) -> None:
    """Remove an entry, if it can be removed; a partial entry is never visible."""
    with suppress(OSError):
        gone = Path(tempfile.mkdtemp(prefix=_STAGED, dir=folder.parent))
        try:
            folder.rename(gone / "entry")
        finally:
            shutil.rmtree(gone, ignore_errors=True)


def kept() -> list[Kept]:
    """All entries, the most recently used one first."""
    base = cache_folder()
    return _entries(base) if base else []


def clear() -> int:
    """Remove all entries, and what killed processes left.

    Returns:
        How many bytes they had.

    Raises:
        OSError: one cannot be removed.
    """
    base = cache_folder()
    if base is None or not base.is_dir():
        return 0
    folders = [*(one.folder for one in _entries(base)), *base.glob(f"{_STAGED}*")]
    size = sum(map(_size, folders))
    for folder in folders:
        shutil.rmtree(folder)
    return size


def _folder(key: Key) -> Path | None:
    base = cache_folder()
    return base and base / hash_json(dict(key))[:32]


def _read(folder: Path) -> CacheRecord | None:
    try:
        content = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        record = CacheRecord(**content)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    texts = isinstance(record.model, str) and isinstance(record.content, str)
    return record if texts and isinstance(record.key, dict) else None


def _entries(base: Path) -> list[Kept]:
    found = []
    for folder in base.glob("[!.]*/"):
        with suppress(OSError):  # another process may remove it just now
            record = _read(folder)
            used = (folder / _RECORD if record else folder).stat().st_mtime
            found.append(Kept(record.model if record else "", folder, _size(folder), used))
    return sorted(found, key=lambda one: one.used, reverse=True)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _evict(base: Path, size: int) -> bool:
    """Whether this many bytes may be added, after evicting the least recently used entries."""
    for left in base.glob(f"{_STAGED}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left)
    if size > LIMIT or size * 2 > shutil.disk_usage(base).free:
        return False
    entries = _entries(base)
    total = sum(one.bytes for one in entries)
    while entries and total + size > LIMIT:
        oldest = entries.pop()
        discard(oldest.folder)
        total -= oldest.bytes
    return True
