"""An index that gets many small writes is compacted now and then, so that searches stay fast.

Every write leaves files of its own, and words that the word index does not hold yet: BM25 took 19
ms instead of 4 after 80 small writes (benchmarks/LOG.md).
"""

import logging
import threading

from thought1.serving.shelf import ServedIndex
from thought1.types import Thought1Error

logger = logging.getLogger(__name__)

AFTER = 100
"""Writes of this server between two compactions."""


class Tidying:
    """Counts the writes of each index."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writes: dict[str, int] = {}

    def due(self, served: ServedIndex) -> bool:
        """Whether, with the write that was just done, there have been enough of them."""
        with self._lock:
            count = self._writes.get(served.name, 0) + 1
            self._writes[served.name] = 0 if count >= AFTER else count
            return count >= AFTER


def tidy(served: ServedIndex) -> None:
    """Compact an index; its writes wait meanwhile, searches do not. What fails is logged."""
    with served.writing:
        try:
            served.index.optimize()
        except Thought1Error as error:  # the next time again
            logger.warning("%s was not compacted: %s", served.name, error)
