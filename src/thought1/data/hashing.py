"""The hash by which files of data are known again. Knows no format."""

import hashlib
from pathlib import Path

from thought1.types import Thought1Error


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes; Thought1Error where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Thought1Error(f"{path} cannot be read: {error.strerror}") from error
