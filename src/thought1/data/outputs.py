"""Where results go: a place is tried before the work starts, a file appears whole or not at all.

Only knows paths, not what is written to them.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from thought1.data.rows import show_path
from thought1.files.whole import part_of, write_whole
from thought1.types import Thought1Error

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""The start of s3://bucket and the like, of which Path keeps one slash; one letter is a drive."""


def local(path: str | Path) -> Path:
    """`path`, as a path of this machine's files.

    Raises:
        Thought1Error: it is an address, such as s3://bucket/folder.
    """
    scheme = _ADDRESS.match(str(path))
    if scheme:
        raise Thought1Error(
            f"{show_path(Path(path))} is an address ({scheme[0]}/...), which cannot be opened: "
            "give a path of this machine, and copy or mount what is elsewhere"
        )
    return Path(path)


def check_file(path: Path, *, makes_folders: bool = False) -> None:
    """Check that a file can be written at `path`, without changing an existing one.

    Args:
        makes_folders: who writes it makes the folders that are missing.

    Raises:
        Thought1Error: it cannot: no such folder, something else in its place, no permission, ...
    """
    if makes_folders and not _occupied(path.parent, path):
        _try_folder(part_of(path), path)
        return
    local(path)
    try:
        if path.is_dir():
            raise Thought1Error(f"{show_path(path)} is a folder; name a file for the output")
        if path.exists() and not path.is_file():
            raise Thought1Error(f"{show_path(path)} is not a regular file; name one for the output")
        part = part_of(path)
        part.open("wb").close()
        part.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def check_folder(folder: Path) -> None:
    """Try whether a folder can be made at `folder`, or filled where it is; nothing is left there.

    Raises:
        Thought1Error: it cannot: a file in the way, no permission, ...
    """
    _try_folder(folder, folder)


def _try_folder(folder: Path, wanted: Path) -> None:
    there = local(folder)
    while not _occupied(there, wanted):
        there = there.parent
    try:
        with TemporaryDirectory(prefix=".t1-", dir=there) as scratch:
            (Path(scratch) / folder.relative_to(there)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(wanted, error) from error


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """`write_whole`, for what a user has named.

    Raises:
        Thought1Error: the file cannot be written.
    """
    try:
        with write_whole(path) as stream:
            yield stream
    except OSError as error:
        raise _unwritable(path, error) from error


def _occupied(path: Path, wanted: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unwritable(wanted, error) from error
    return True


def _unwritable(path: Path, error: OSError) -> Thought1Error:
    return Thought1Error(f"{show_path(path)} cannot be written: {error.strerror or error}")
