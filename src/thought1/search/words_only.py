"""What takes the model's place where nothing but BM25 searches, so that no model is loaded.

Knows neither store nor index. Every document gets the same vector, so an index made with it ranks
by words only, in mode bm25.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from thought1.types import Checkpoints, Document, Sampling, Thought, Thought1Error, Vectors

_WINDOW = 2048
_GREEDY = Sampling()
_NO_MODEL = "without a model only the mode bm25 can search"


@dataclass(frozen=True, slots=True)
class WordsOnly:
    """Stands in for a model that is not loaded; give it what an index remembers to open that."""

    name: str = "none"
    dim: int = 1
    identity: Mapping[str, str | int] = field(default_factory=dict)
    greedy: Sampling = _GREEDY
    sampled: Sampling = _GREEDY

    def identities(self, index_format: int, created: str) -> Sequence[Mapping[str, str | int]]:
        """Whatever the index says."""
        return [self.identity]

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """Chunks of the documents, in their order, with vectors (n, d) that say nothing."""
        stream = iter(documents)
        while chunk := list(islice(stream, _WINDOW)):
            yield chunk, np.full((len(chunk), self.dim), self.dim**-0.5, dtype=np.float32)

    def think(
        self,
        queries: Sequence[str],
        *,
        budget: int | None = None,
        sampling: Sampling | None = None,
        samples: int = 1,
        evidence: Sequence[Sequence[str]] | None = None,
        checkpoints: Checkpoints = (),
    ) -> list[Thought]:
        """Raises ValueError: only mode bm25 may be searched."""
        raise ValueError(_NO_MODEL)

    def read_thoughts(
        self,
        queries: Sequence[str],
        thoughts: Sequence[str],
        *,
        evidence: Sequence[Sequence[str]] | None = None,
    ) -> list[Thought]:
        """Raises Thought1Error: it reads no thoughts."""
        raise Thought1Error("this index's model cannot think, and reads no thoughts: use a T1")

    def check_evidence(self, budget: int | None = None) -> None:
        """Raises ValueError, as `think` does."""
        raise ValueError(_NO_MODEL)

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """Raises ValueError, as `think` does."""
        raise ValueError(_NO_MODEL)

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        """No prompt is written, so 0."""
        return 0
