"""The few forms in which sets are read and written: JSON lines, plain or packed, and archives.

Knows no set.
"""

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from thought1.data.hashing import hash_content
from thought1.types import Thought1Error


def write_json_lines(
    path: Path, rows: Iterable[Mapping[str, Any]], ensure_ascii: bool = True
) -> None:
    """One JSON object a line; a name that ends in .gz is packed, without name and time within."""
    with _open_to_write(path) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=ensure_ascii) + "\n").encode())


@contextmanager
def _open_to_write(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        if path.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as pack:
            yield cast(BinaryIO, pack)


def content_hash(path: Path) -> str:
    """SHA-256 of a file; of a .gz, of what is packed in it, and "" where it cannot be unpacked."""
    try:
        return hash_content(path)
    except Thought1Error:
        return ""


def read_archive(path: Path, max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """The files of a zip archive, by name; nothing is unpacked to the disk.

    Raises:
        Thought1Error: the archive is broken, a name in it leads out of it, or a file in it is
            larger than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                place = PurePosixPath(info.filename.replace("\\", "/"))
                if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
                    raise Thought1Error(
                        f"the archive {path.name} is refused: the name {info.filename!r} in it "
                        "leads out of it"
                    )
                if info.file_size > max_bytes:
                    raise Thought1Error(
                        f"the archive {path.name} is refused: {info.filename} in it is larger "
                        f"than {max_bytes} bytes"
                    )
                if not info.is_dir():
                    yield info.filename, archive.read(info)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise Thought1Error(f"the archive {path.name} is broken: {error}") from None
