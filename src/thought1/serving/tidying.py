"""An index that gets many small writes is compacted now and then, so that searches stay fast.

Every write leaves files of its own, and words that the word index does not hold yet: BM25 took 19
ms instead of 4 after 80 small writes (benchmarks/LOG.md).
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from thought1.serving.shelf import ServedIndex
from thought1.store.lance import EXACT_LIMIT
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)

AFTER = 100
"""Writes of this server between two compactions."""


class Tidying:
    """Counts the writes of each index, and compacts in a thread of its own, one index at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: dict[str, int] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="tidying")

    def written(self, served: ServedIndex) -> None:
        """Count a write; the one that makes enough of them starts a compaction."""
        with self._lock:
            count = self._writes.get(served.name, 0) + 1
            self._writes[served.name] = 0 if count >= AFTER else count
        if count >= AFTER:
            self._pool.submit(tidy, served)

    def close(self) -> None:
        """Finish what was started."""
        self._pool.shutdown()


def tidy(served: ServedIndex) -> None:
    """Compact an index; its writes wait meanwhile, searches do not. What fails is logged.

    A large index is left alone: optimizing it would build a vector index, and make an exact search
    approximate.
    """
    try:
        if len(served.index) <= EXACT_LIMIT:
            with served.writing:
                served.index.optimize()
    except Thought1Error as error:  # the next time again
        logger.warning("%s was not compacted: %s", served.name, error)
