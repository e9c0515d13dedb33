"""Whether an index can really be searched: checked at the start of a server, and by GET /ready.

That a folder can be opened and counted says little: a damaged file is found when it is read.
"""

import logging
import shutil
import threading
import time
from dataclasses import replace

import numpy as np

from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.serving.shelf import Shelf
from thought1.types import Thought

logger = logging.getLogger(__name__)

SECONDS = 1.0
"""Seconds for which a result is reused."""
LOW_BYTES = 32 * 2**20
"""Free space of a disk below which a write may fail: some times the largest request."""
_WORD = "water"


def probe(index: Index) -> None:
    """Read what a search reads: the index of words, vectors, and the document that is found.

    No model runs. Of a damaged file it finds what one search would find.

    Raises:
        IndexUnavailable: something cannot be read.
    """
    vector = np.zeros(index.info.dim, np.float32)
    vector[0] = 1.0
    given = [Thought("", (), "edited", vector)]
    options = SearchOptions(1, "dense", think=0)
    index.search_many([_WORD], options, given)
    index.search_many([_WORD], replace(options, mode="bm25"))


class Readiness:
    """What keeps a server from answering, if anything does."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = threading.Lock()
        self._asked = -SECONDS
        self._problem: str | None = None

    def problem(self) -> str | None:
        """In words for clients; the log tells more."""
        with self._lock:
            for model in self._shelf.models.values():
                if not model.batcher.alive:
                    return f"the model {model.name} takes no work"
            if time.monotonic() - self._asked >= SECONDS:
                self._problem = self._look()
                self._asked = time.monotonic()
            return self._problem

    def nearly_full(self) -> list[str]:
        """Of each index on a disk with little space, so much in words for clients."""
        return [
            f"the disk of the index {served.name} is nearly full: writes may fail"
            for served in self._shelf.indexes.values()
            if _lacks_space(served.index)
        ]

    def _look(self) -> str | None:
        for served in self._shelf.indexes.values():
            try:
                probe(served.index)
            except Exception as error:
                logger.error("the index %s is not ready: %s", served.name, error)
                return f"the index {served.name} cannot be read"
        return None


def _lacks_space(index: Index) -> bool:
    try:
        return shutil.disk_usage(index.path).free < LOW_BYTES
    except OSError:  # its folder is gone, which `problem` tells
        return False
