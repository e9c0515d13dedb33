"""The hashes by which files of data are known again. Knows no format."""

import gzip
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

from thought1.types import Thought1Error

_CHUNK = 2**20


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes; Thought1Error if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Thought1Error(f"{path} cannot be read: {error.strerror}") from error


def hash_content(path: Path) -> str:
    """SHA-256 of a file, and of a .gz that of what is packed in it: two packers write different
    bytes. Thought1Error if it cannot be read or unpacked."""
    if path.suffix.lower() != ".gz":
        return hash_file(path)
    digest = hashlib.sha256()
    try:
        with gzip.open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise Thought1Error(f"{path} cannot be read: {error}") from error
    return digest.hexdigest()


def hash_json(content: Any) -> str:
    """SHA-256 of JSON data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
