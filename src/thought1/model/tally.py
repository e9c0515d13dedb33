"""How many texts were read, and how many of them were cut: totals, however many batches there are.

Knows neither texts nor models. A log record holds the tally itself, so that who shows it at the
end of a command (`thought1.cli.console`) shows the totals.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """Texts of one kind, such as "documents", since this object was created."""

    kind: str
    read: int = 0
    cut: int = 0
    _reported: int = 0
    _paused: bool = False

    def __str__(self) -> str:
        return f"{self.cut} of {self.read} {self.kind}"

    def add(self, read: int, cut: int) -> None:
        """Count a batch. A warning is logged at the first cut text, then as their number doubles:
        some twenty lines for a million texts."""
        if self._paused:
            return
        self.read += read
        self.cut += cut
        if cut and self.cut >= 2 * self._reported:
            self._reported = self.cut
            logger.warning("%s were cut to the model's maximum length", self)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count nothing inside the block, where the same texts are read again."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before
