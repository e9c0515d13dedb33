"""The thoughts of a collection, written once and kept, so that rules about them are cheap to try.

Greedy thoughts with their vectors at several budgets, and several sampled thoughts with theirs.
Token ids are kept apart from vectors: models with one language model and several companions think
once. What is kept is found by a hash of weights, questions and settings. It knows a T1 and a
collection, no rule and no metric.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from collection import Collection

from thought1.files.whole import write_whole
from thought1.t1 import T1
from thought1.types import Sampling, Thought, Vectors

CHECKPOINTS = (0, 4, 8, 12, 16, 24, 32, 48)
"""Tokens at which a greedy thought is read; the last one is the whole budget."""

BATCH = 8
"""Questions whose several thoughts are written together."""


@dataclass(frozen=True, slots=True)
class Greedy:
    """Q questions at C checkpoints, vectors of d dimensions."""

    vectors_QCD: Vectors
    tokens_Q: np.ndarray
    """Tokens that the whole thoughts have."""
    milliseconds_C: np.ndarray
    """Of the language model, for one question of a batch of 32, until each checkpoint."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """K sampled thoughts about each of Q questions."""

    vectors_QKD: Vectors
    tokens_QK: np.ndarray
    milliseconds: float
    """Of the language model, for all K of one question of a batch of `BATCH`."""


Arrays = dict[str, np.ndarray]


class Thinking:
    """A model and a collection, and what the one thinks about the other's questions.

    Args:
        folder: where thoughts are kept between runs.
    """

    def __init__(self, model: T1, collection: Collection, folder: Path) -> None:
        self.model, self.collection, self.folder = model, collection, folder
        self.queries = list(collection.queries.values())

    def documents(self) -> Vectors:
        """The vectors (N, d) of all documents."""
        texts = list(self.collection.documents.values())
        reader = self.model.templates_hash
        made = self._kept(
            "documents", [reader, texts], lambda: {"ND": self.model.encode_document(texts)}
        )
        return made["ND"]

    def greedy(self) -> Greedy:
        """Greedy thoughts, read at each of `CHECKPOINTS`."""
        found = self._written(self.model.greedy, 1, self._think_greedily)
        ids_QT = found["ids"][:, 0]
        read = [self._read(ids_QT[:, :tokens]) for tokens in CHECKPOINTS]
        tokens_Q = (ids_QT >= 0).sum(axis=1)
        return Greedy(np.stack(read, axis=1), tokens_Q, found["milliseconds"])

    def sampled(self, samples: int) -> Sampled:
        """Thoughts as a search with several `samples` writes them, with the whole budget."""
        found = self._written(self.model.sampled, samples, lambda: self._sample(samples))
        ids_QKT = found["ids"]
        read = [self._read(ids_QKT[:, copy]) for copy in range(samples)]
        tokens_QK = (ids_QKT >= 0).sum(axis=2)
        return Sampled(np.stack(read, axis=1), tokens_QK, float(found["milliseconds"]))

    def _written(self, sampling: Sampling, samples: int, make: Callable[[], Arrays]) -> Arrays:
        own = self.model.settings.query
        asked = [asdict(own), self.queries, CHECKPOINTS, asdict(sampling), samples]
        return self._kept("thoughts", asked, make)

    def _think_greedily(self) -> Arrays:
        ids_QKT = np.full((len(self.queries), 1, CHECKPOINTS[-1]), -1, np.int32)
        seconds_C = np.zeros(len(CHECKPOINTS))
        for places, done in self.model.generations(
            self.queries, CHECKPOINTS[-1], self.model.greedy, snapshots=CHECKPOINTS
        ):
            for place, one in zip(places, done, strict=True):
                ids_QKT[place, 0, : len(one.token_ids)] = one.token_ids
            seconds_C += [shot.seconds for shot in done[0].snapshots]
        return {"ids": ids_QKT, "milliseconds": 1000 * seconds_C / len(self.queries)}

    def _sample(self, samples: int) -> Arrays:
        ids_QKT = np.full((len(self.queries), samples, CHECKPOINTS[-1]), -1, np.int32)
        began = perf_counter()
        for start in range(0, len(self.queries), BATCH):
            asked = self.queries[start : start + BATCH]
            for places, done in self.model.generations(
                asked, CHECKPOINTS[-1], self.model.sampled, copies=samples
            ):
                for number, one in enumerate(done):
                    place, copy = start + places[number // samples], number % samples
                    ids_QKT[place, copy, : len(one.token_ids)] = one.token_ids
        spent = 1000 * (perf_counter() - began) / len(self.queries)
        return {"ids": ids_QKT, "milliseconds": np.array(spent)}

    def _read(self, ids_QT: np.ndarray) -> Vectors:
        """The query vectors (Q, d) behind thoughts whose rows are filled up with -1."""
        rows = [[int(token) for token in row if token >= 0] for row in ids_QT]
        asked = [self.model.templates_hash, self.queries, rows]

        def read() -> Arrays:
            thoughts = [Thought("", tuple(row), "budget") for row in rows]
            return {"QD": np.asarray(self.model.encode_query(self.queries, thoughts=thoughts))}

        return self._kept("vectors", asked, read)["QD"]

    def _kept(self, name: str, asked: Sequence[Any], make: Callable[[], Any]) -> Arrays:
        content = json.dumps([self.model.weights_hash, *asked], sort_keys=True).encode()
        file = self.folder / f"{name}-{hashlib.sha256(content).hexdigest()[:16]}.npz"
        if not file.is_file():
            made = make()
            with write_whole(file) as stream:
                np.savez(stream, **made)
        with np.load(file) as stored:
            return dict(stored)
