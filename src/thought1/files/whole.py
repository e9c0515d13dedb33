"""Files and folders that appear whole or not at all, whoever writes or is killed meanwhile.

Each is written under a temporary name in the same folder, renamed at the end, and removed after
a failure. Only knows paths.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def write_whole(path: Path) -> Iterator[IO[bytes]]:
    """A binary stream whose content replaces `path` when the block ends well, and else does not.

    Missing folders are made. Of several writers at the same time the last one's file stays.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        with part.open("xb") as stream:
            yield stream
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that replaces `folder` when the block ends well, and else does not.

    Missing folders above it are made.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=".whole-", dir=folder.parent))
    fresh, replaced = workshop / "fresh", workshop / "replaced"
    try:
        fresh.mkdir()  # with the usual permissions, unlike the temporary folder
        yield fresh
        if folder.exists():
            folder.replace(replaced)
        try:
            fresh.replace(folder)
        except BaseException:
            if replaced.exists():
                replaced.replace(folder)
            raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def part_of(path: Path) -> Path:
    """A unique name next to `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
