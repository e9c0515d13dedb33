"""Bearer tokens in a file: who may read, who may write. It knows a file, no HTTP.

The file holds the SHA-256 of each token, never a token. A token is 256 random bits, which no one
finds by trying, so that a slow hash and a salt, made for passwords, would add nothing.

    {"format": 1,
     "tokens": [{"name": "laptop", "scope": "read", "sha256": "...", "created": "..."}]}
"""

import hashlib
import hmac
import json
import logging
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal, get_args

from thought1.files.whole import write_whole
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)

Scope = Literal["read", "write"]
"""What a token allows: to ask; or to change documents too."""

FORMAT = 1
PREFIX = "t1_"
"""How a token begins, so that a leaked one is found by a search for it."""
_BYTES = 32
_FIELDS = {"name", "scope", "sha256", "created"}


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """What the file holds of one token."""

    name: str
    scope: Scope
    sha256: str
    created: str
    """ISO 8601, UTC."""


class BearerTokenFile:
    """The tokens that a server accepts; a change of the file counts from the next request on.

    Where the file is gone or broken later, no token is accepted until it is mended.

    Raises:
        Thought1Error: it cannot be read, is no token file, or others may write it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen = _signature(path)
        self._entries = read_entries(path)

    def __len__(self) -> int:
        """How many tokens are accepted now."""
        return len(self._current())

    def scope(self, token: str) -> Scope | None:
        """What `token` allows; None where it is none of the file's.

        The time reveals neither how much of a token was right nor which entry it matches.
        """
        digest = _digest(token)
        found: Scope | None = None
        for entry in self._current():
            if hmac.compare_digest(entry.sha256, digest):
                found = entry.scope
        return found

    def _current(self) -> list[TokenEntry]:
        with self._lock:
            signature = _signature(self._path)
            if signature != self._seen:
                self._seen = signature
                try:
                    self._entries = read_entries(self._path)
                except Thought1Error as error:
                    logger.error("no token is accepted: %s", error)
                    self._entries = []
            return self._entries


def add_token(path: Path, name: str, scope: Scope) -> str:
    """A new token, whose hash is added to the file; it is made where it is missing.

    Returns:
        The token, which is kept nowhere.

    Raises:
        Thought1Error: there is a token of that name, or the file cannot be read or written.
    """
    if not name or not name.isprintable():
        raise Thought1Error(f"a token needs a name of printable characters, not {name!r}")
    entries = read_entries(path) if path.exists() else []
    if any(entry.name == name for entry in entries):
        raise Thought1Error(
            f"{path} has a token named {name!r} already: take another name, or remove that one"
        )
    token = PREFIX + secrets.token_urlsafe(_BYTES)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    _write(path, [*entries, TokenEntry(name, scope, _digest(token), created)])
    return token


def remove_token(path: Path, name: str) -> None:
    """Take the token of that name out of the file.

    Raises:
        Thought1Error: there is none, or the file cannot be read or written.
    """
    entries = read_entries(path)
    kept = [entry for entry in entries if entry.name != name]
    if len(kept) == len(entries):
        known = ", ".join(repr(entry.name) for entry in entries) or "none"
        raise Thought1Error(f"{path} has no token named {name!r}; it has: {known}")
    _write(path, kept)


def read_entries(path: Path) -> list[TokenEntry]:
    """What the file holds.

    Raises:
        Thought1Error: it cannot be read, is no token file, or others may write it.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise Thought1Error(
                f"other users may write {path}, and so make tokens of their own: chmod 600 {path}"
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Thought1Error(
            f"the token file {path} cannot be read ({error.strerror}); "
            "`t1 tokens add FILE NAME` makes one"
        ) from error
    except ValueError as error:
        raise Thought1Error(f"{path} is no token file: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Thought1Error(f'{path} is no token file: it lacks "format": {FORMAT}')
    rows = content.get("tokens")
    if not isinstance(rows, list):
        raise Thought1Error(f'{path} is no token file: "tokens" must be a list')
    return [_entry(path, row) for row in rows]


def _entry(path: Path, row: Any) -> TokenEntry:
    sound = (
        isinstance(row, Mapping)
        and set(row) == _FIELDS
        and all(isinstance(value, str) for value in row.values())
        and row["scope"] in get_args(Scope)
        and len(row["sha256"]) == 64
        and set(row["sha256"]) <= set("0123456789abcdef")
    )
    if not sound:
        name = row.get("name") if isinstance(row, Mapping) else None
        raise Thought1Error(
            f"{path}: the entry of the token {name!r} is broken; remove it from the file, and "
            "make a new one with `t1 tokens add FILE NAME`"
        )
    return TokenEntry(**row)


def _write(path: Path, entries: list[TokenEntry]) -> None:
    content = {"format": FORMAT, "tokens": [asdict(entry) for entry in entries]}
    try:
        with write_whole(path) as stream:
            os.chmod(stream.name, 0o600)
            stream.write((json.dumps(content, indent=2) + "\n").encode())
    except OSError as error:
        raise Thought1Error(f"{path} cannot be written: {error.strerror}") from error


def _digest(token: str) -> str:
    # A header may hold any bytes; what is no text is no token, and must not raise.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _signature(path: Path) -> tuple[int, int, int] | None:
    """Changes with the file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
