"""Files over HTTP: whole or not at all, with a limit of size and time.

Knows addresses and files, not what is in them. A download that breaks off begins again: the largest
file has ten megabytes.
"""

import http.client
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from thought1.data.public.catalogue import Original
from thought1.files.whole import write_whole
from thought1.types import Thought1Error

PAUSE_SECONDS = 1.0
"""Before the second attempt; twice as long before the third; longer if a server requests it."""
_LONGEST_PAUSE = 60.0
_ATTEMPTS = 3
_AT_ONCE = 8
"""The textbooks are a thousand small files, and an address a second would take half an hour."""
_CHUNK = 2**18
_PASSING = (429, 500, 502, 503, 504)

Progress = Callable[[int], None]
"""Called with the number of bytes received, from several threads."""


@dataclass(frozen=True, slots=True)
class Downloads:
    """How files are fetched."""

    mirror: str = ""
    """Address of a mirror, with copies by host and path; "" uses the original servers."""
    timeout: float = 30.0
    """Seconds without an answer, or without further bytes, after which an attempt ends."""
    progress: Progress = lambda num_bytes: None

    def __post_init__(self) -> None:
        if self.mirror and urlsplit(self.mirror).scheme not in ("http", "https"):
            raise Thought1Error(f"the mirror must begin with http:// or https://: {self.mirror}")

    def place(self, address: str) -> str:
        """The address from which to fetch `address`: itself, or its copy on the mirror."""
        if not self.mirror:
            return address
        return f"{self.mirror.rstrip('/')}/{address.partition('://')[2]}"


class _Passing(Exception):
    """A transient failure, to be retried after some seconds."""

    def __init__(self, problem: str, seconds: float = 0.0) -> None:
        super().__init__(problem)
        self.seconds = seconds


def fetch_all(originals: Sequence[Original], folder: Path, downloads: Downloads) -> None:
    """Fetch every original to its name below `folder`.

    Raises:
        Thought1Error: one cannot be had; the others are given up.
        OSError: a file cannot be written.
    """
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="download")
    try:
        jobs = [pool.submit(fetch, o, folder / o.name, downloads) for o in originals]
        for job in jobs:
            job.result()
    finally:
        pool.shutdown(cancel_futures=True)


def fetch(original: Original, target: Path, downloads: Downloads) -> None:
    """Fetch one file; passing failures are tried three times.

    Raises:
        Thought1Error: it cannot be had, or it is larger than expected.
        OSError: `target` cannot be written.
    """
    address = downloads.place(original.address)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with write_whole(target) as file:
                _receive(address, file, original.max_bytes, downloads)
            return
        except _Passing as failure:
            if attempt == _ATTEMPTS:
                raise Thought1Error(f"{address} cannot be fetched: {failure}") from None
            time.sleep(max(PAUSE_SECONDS * attempt, min(failure.seconds, _LONGEST_PAUSE)))


def _receive(address: str, file: IO[bytes], max_bytes: int, downloads: Downloads) -> None:
    request = Request(address, headers={"User-Agent": "thought1"})
    too_large = f"{address} is larger than the {max_bytes} bytes expected there"
    try:
        response = urlopen(request, timeout=downloads.timeout)
    except HTTPError as error:
        error.close()
        answer = f"the server answers {error.code} {error.reason}"
        if error.code in _PASSING:
            wait = error.headers.get("Retry-After", "")
            raise _Passing(answer, float(wait) if wait.isdecimal() else 0.0) from None
        raise Thought1Error(f"{address} cannot be fetched: {answer}") from None
    except (URLError, OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise _Passing(f"no answer ({reason})") from None
    with response:
        length = response.headers.get("Content-Length", "")
        announced = int(length) if length.isdecimal() else None
        if announced is not None and announced > max_bytes:
            raise Thought1Error(too_large)
        received = 0
        while chunk := _next_chunk(response):
            received += len(chunk)
            if received > max_bytes:
                raise Thought1Error(too_large)
            file.write(chunk)
            downloads.progress(len(chunk))
    if announced is not None and received < announced:
        raise _Passing(f"it broke off after {received} of {announced} bytes")


def _next_chunk(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _Passing(f"it broke off ({error})") from None
