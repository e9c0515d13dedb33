"""Vectors read in the middle of a thought, which goes on as if nothing had been read.

It knows a batch, its cache and a clock, no model: `engines.hf` runs the step that reads
`<emb_token>` aside.
"""

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from time import perf_counter
from typing import Protocol, TypeVar

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from thought1.engines.preallocated import PreallocatedLayer
from thought1.types import Snapshot, Vectors

SHARED = (DynamicLayer, DynamicSlidingWindowLayer, PreallocatedLayer)
"""Layers that never write into the columns that a copy has: it may share their tensors."""


def fork(cache: DynamicCache) -> DynamicCache:
    """A cache with the same content, whose growth the original never sees.

    Tensors are shared until the fork reads a token; no column has to be removed again, which a
    sliding window could not do. The fork is to be done with when the original reads on.
    """
    other = copy(cache)
    other.layers = [
        copy(layer) if type(layer) in SHARED else deepcopy(layer) for layer in cache.layers
    ]
    return other


class ThinkingRows(Protocol):
    """ThinkingRows that think, of one batch or of a part of it."""

    @property
    def row_ids(self) -> list[int]:
        """Their numbers."""

    @property
    def size(self) -> int:
        """How many they are."""

    def reads(self, token: int) -> list[int]:
        """Places among them of those whose current token is `token`."""


Some = TypeVar("Some", bound=ThinkingRows)


class SnapshotReader:
    """Reads the vectors of one batch at given lengths of its thoughts.

    The clock starts with the object. What is read aside is left out of every later time, so that
    the time at n tokens is that of a batch which stops there: prompts, n tokens, `<emb_token>`.

    Raises:
        ValueError: a length is negative.
    """

    def __init__(self, lengths: Sequence[int], emb_id: int) -> None:
        self.lengths = sorted(set(lengths))
        if self.lengths and self.lengths[0] < 0:
            raise ValueError(f"a snapshot needs a length of 0 or more, not {self.lengths[0]}")
        self.emb_id = emb_id
        self._length = 0
        self._aside = 0.0
        self._start = perf_counter()

    @property
    def seconds(self) -> float:
        """Since the start, without what was read aside."""
        return perf_counter() - self._start - self._aside

    def read(self, batch: Some, aside: Callable[[Some], Vectors]) -> dict[int, Snapshot]:
        """To be called once for each step, when the rows know which token they read next.

        Args:
            aside: gives the vectors (B, d) of the rows if they read `<emb_token>` next.

        Returns:
            Row -> what was read; nothing where no vector is wanted at this length.
        """
        length, self._length = self._length, self._length + 1
        # ThinkingRows that read it anyway need no step of their own.
        if length not in self.lengths or len(batch.reads(self.emb_id)) == batch.size:
            return {}
        started = perf_counter()
        vectors = aside(batch)
        ended = perf_counter()
        seconds = ended - self._start - self._aside
        self._aside += ended - started
        return {
            row: Snapshot(length, vector, seconds)
            for row, vector in zip(batch.row_ids, vectors, strict=True)
        }
