"""Thoughts that have been thought before, kept on disk: the same question is thought about once.

Found by a hash of the model, the question, what was read first, the sampling and the budget. Knows
the contract of what thinks, and a file of texts.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from thought1.data.hashing import hash_json
from thought1.files.bounded import BoundedFile
from thought1.files.user_cache import user_cache
from thought1.search.found import IndexModel
from thought1.types import (
    Checkpoints,
    Document,
    FinishReason,
    Sampling,
    Thought,
    Thought1Error,
    Vectors,
    Watched,
)

FORMAT = 1
"""Part of every key: another way of writing thoughts finds none of the old ones."""
MOST = 256 * 10**6
"""Bytes of all thoughts together, about 80,000 of 48 tokens in 384 dimensions."""
FILE = "thoughts.sqlite"


def default_file() -> BoundedFile:
    """The file in the user's cache folder.

    Raises:
        Thought1Error: there is no such folder.
    """
    folder = user_cache()
    if folder is None:
        raise Thought1Error("there is no home folder for a cache of thoughts: set XDG_CACHE_HOME")
    return BoundedFile(folder / FILE, MOST)


@dataclass(frozen=True, slots=True)
class CachedThinker:
    """A model whose thoughts are kept, with their vectors; everything else is the model's.

    Greedy and sampled thoughts alike: the seed of a sampled one is part of its key. Those with
    checkpoints, and bare queries, are not kept.
    """

    model: IndexModel
    identity: str
    """Whatever decides a thought of this model: `Checkpoint.thinking_identity`."""
    kept: BoundedFile

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
        """See `steps.Thinker`; a thought that was kept says so (`Thought.cached`)."""

        def ask(places: Sequence[int]) -> list[Thought]:
            return self.model.think(
                [queries[place] for place in places],
                budget=budget,
                sampling=sampling,
                samples=samples,
                evidence=None if evidence is None else [evidence[place] for place in places],
                checkpoints=checkpoints,
            )

        if budget == 0 or isinstance(checkpoints, Watched) or checkpoints:
            return ask(range(len(queries)))
        settings = [budget, None if sampling is None else asdict(sampling), samples]
        keys = [
            self._key(query, settings, () if evidence is None else evidence[place])
            for place, query in enumerate(queries)
        ]
        known = {key: self._read(text, samples) for key, text in self.kept.get(keys).items()}
        found = {key: own for key, own in known.items() if own}
        missing = {key: place for place, key in enumerate(keys) if key not in found}
        thoughts = ask(list(missing.values())) if missing else []
        new = {
            key: thoughts[number * samples : (number + 1) * samples]
            for number, key in enumerate(missing)
        }
        self.kept.put({key: _written(own) for key, own in new.items() if _whole(own)})
        return [thought for key in keys for thought in (found.get(key) or new[key])]

    def _key(self, query: str, settings: Sequence[Any], evidence: Sequence[str]) -> str:
        return hash_json([FORMAT, self.identity, query, list(evidence), list(settings)])

    def _read(self, text: str, samples: int) -> list[Thought]:
        """The thoughts in a text; none where it is not what was written."""
        try:
            rows = json.loads(text)
            found = [_thought(*row) for row in rows]
        except (ValueError, TypeError, binascii.Error):
            return []
        fitting = all(one.vector is not None and one.vector.shape == (self.dim,) for one in found)
        return found if len(found) == samples and fitting else []

    @property
    def dim(self) -> int:
        """The model's."""
        return self.model.dim

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @property
    def greedy(self) -> Sampling:
        """The model's."""
        return self.model.greedy

    @property
    def sampled(self) -> Sampling:
        """The model's."""
        return self.model.sampled

    def identities(self, index_format: int, created: str) -> Sequence[Mapping[str, str | int]]:
        """The model's."""
        return self.model.identities(index_format, created)

    def encode_document_stream(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[list[Document], Vectors]]:
        """The model's."""
        return self.model.encode_document_stream(documents)

    def read_thoughts(
        self,
        queries: Sequence[str],
        thoughts: Sequence[str],
        *,
        evidence: Sequence[Sequence[str]] | None = None,
    ) -> list[Thought]:
        """The model's."""
        return self.model.read_thoughts(queries, thoughts, evidence=evidence)

    def check_evidence(self, budget: int | None = None) -> None:
        """The model's."""
        self.model.check_evidence(budget)

    def fit_evidence(
        self, queries: Sequence[str], evidence: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """The model's."""
        return self.model.fit_evidence(queries, evidence)

    def count_prompt_tokens(
        self, queries: Sequence[str], *, evidence: Sequence[Sequence[str]] | None = None
    ) -> int:
        """The model's."""
        return self.model.count_prompt_tokens(queries, evidence=evidence)


def _whole(thoughts: Sequence[Thought]) -> bool:
    return all(thought.vector is not None for thought in thoughts)


def _written(thoughts: Sequence[Thought]) -> str:
    rows = [
        [one.text, list(one.token_ids), one.finish_reason, _encoded(one.vector)]
        for one in thoughts
        if one.vector is not None
    ]
    return json.dumps(rows)


def _encoded(vector: Vectors) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def _thought(text: str, token_ids: list[int], reason: FinishReason, vector: str) -> Thought:
    if reason not in get_args(FinishReason) or not isinstance(text, str):
        raise ValueError("no thought")
    numbers = np.frombuffer(base64.b64decode(vector, validate=True), "<f4").astype(np.float32)
    if not np.isfinite(numbers).all():
        raise ValueError("no vector")
    return Thought(text, tuple(map(int, token_ids)), reason, numbers, cached=True)
