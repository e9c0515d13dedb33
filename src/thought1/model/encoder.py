"""From sequences to vectors at `<emb_token>`, fast: length buckets, token budget, streaming.

Document throughput lives here. It knows an engine and lists of ids; which template made them is
the business of `prompts`, and of `t1` that binds both.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from thought1.contracts import Engine
from thought1.types import Document, Vectors

WINDOW = 2048
"""Documents held in memory at a time; within a window they are sorted by length."""

Progress = Callable[[int], None]
"""Called with the number of rows that have just been done."""


def tokens_per_forward(device: str) -> int:
    """Tokens that one forward pass should have on this kind of device ("cpu", "cuda").

    On a CPU the activations should stay in its cache: with t1-nano 512 to 1536 tokens are equally
    fast, 4096 take a fifth more time.
    """
    return 1024 if device == "cpu" else 4096


def batches(lengths: Sequence[int], token_budget: int, batch_size: int) -> Iterator[list[int]]:
    """Row numbers in batches of similar length, longest first.

    A batch holds at most `batch_size` rows, and at most `token_budget` tokens with its padding
    (but always one row). Longest first, so that what does not fit in memory fails at once.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is a number of rows, 1 or more, not {batch_size}")
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        fitting = max(1, token_budget // max(1, lengths[order[start]]))
        size = min(batch_size, fitting)
        yield order[start : start + size]
        start += size


class Encoder:
    """Batches sequences for an engine.

    Args:
        engine: computes the vectors.
        token_budget: tokens of one forward pass, padding included, the shared prefix not.
    """

    def __init__(self, engine: Engine, token_budget: int) -> None:
        self.engine = engine
        self.token_budget = token_budget

    def encode(
        self,
        prefix: Sequence[int],
        rows: Sequence[Sequence[int]],
        *,
        batch_size: int = 256,
        on_progress: Progress | None = None,
    ) -> Vectors:
        """Vectors (n, d) at the last token of each `prefix + row`, in the order of the rows."""
        vectors = np.zeros((len(rows), self.engine.dim), dtype=np.float32)
        for batch in batches([len(row) for row in rows], self.token_budget, batch_size):
            vectors[batch] = self.engine.embed(prefix, [rows[row] for row in batch])
            if on_progress:
                on_progress(len(batch))
        return vectors


def windows(documents: Iterable[Document], size: int = WINDOW) -> Iterator[list[Document]]:
    """Consecutive lists of at most `size` documents: memory does not grow with the corpus."""
    stream = iter(documents)
    while window := list(islice(stream, size)):
        yield window
