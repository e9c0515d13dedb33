"""Texts that are read without a thought: documents piece by piece, bare questions together.

It knows a model and its own queues; whose turn it is, `batching` knows.
"""

import time
from collections import deque
from typing import Protocol

import numpy as np

from thought1.model.queries import PromptedQueries
from thought1.model.sentence_model import SentenceModel
from thought1.serving.jobs import BareJob, DocumentJob
from thought1.t1 import T1

PIECE_SECONDS = 0.1
"""How long documents are read at a time, about: what a question may have to wait for them."""
BARE = 64
"""Questions without thoughts that are read together."""
DOCUMENTS = 64
"""Documents that are read together at most."""


class ReadMeter(Protocol):
    """Hears of every text that is read."""

    def embedded(self, kind: str, texts: int, seconds: float) -> None:
        """Some texts ("query" or "document") were read together."""


class BareQuestions:
    """Questions that are not thought about. To be used by the model's thread alone."""

    def __init__(self, model: T1 | SentenceModel, meter: ReadMeter) -> None:
        self._model = model
        self._meter = meter
        self.waiting: deque[BareJob] = deque()

    def turn(self) -> None:
        """Read those whose prompts begin alike, together."""
        first = self.waiting.popleft()
        jobs, texts = [first], len(first.prompts.texts)
        for job in list(self.waiting):
            alike = tuple(job.prompts.prefix) == tuple(first.prompts.prefix)
            if alike and texts + len(job.prompts.texts) <= BARE:
                self.waiting.remove(job)
                jobs.append(job)
                texts += len(job.prompts.texts)
        together = PromptedQueries(
            [text for job in jobs for text in job.prompts.texts],
            first.prompts.prefix,
            [row for job in jobs for row in job.prompts.rows],
        )
        start = time.perf_counter()
        try:
            assert isinstance(self._model, T1)  # only its questions have prompts
            vectors = self._model.queries.bare(together, BARE)
        except Exception as error:
            for job in jobs:
                job.fail(error)
            return
        self._meter.embedded("query", texts, time.perf_counter() - start)
        ends = np.cumsum([len(job.prompts.texts) for job in jobs])[:-1]
        for job, own in zip(jobs, np.split(vectors, ends), strict=True):
            job.future.set_result(own)


class QueuedDocuments:
    """Documents that wait to be encoded. To be used by the model's thread alone."""

    def __init__(self, model: T1 | SentenceModel, meter: ReadMeter) -> None:
        self._model = model
        self._meter = meter
        self._characters = 4096
        self.waiting: deque[DocumentJob] = deque()

    def turn(self) -> float:
        """Read a piece of them; its seconds."""
        chosen, characters = self._choose()
        start = time.perf_counter()
        order = [(job, place) for job, places in chosen for place in places]
        try:
            texts = [job.texts[place] for job, place in order]
            vectors = np.asarray(self._model.encode_document(texts))
        except Exception as error:
            for job, _ in chosen:
                job.waiting.clear()
                job.fail(error)
            self.waiting = deque(job for job in self.waiting if job.waiting)
            return 0.0
        seconds = time.perf_counter() - start
        self._meter.embedded("document", len(order), seconds)
        done = 0
        for job, places in chosen:
            job.finish(places, vectors[done : done + len(places)])
            done += len(places)
        fitting = characters * PIECE_SECONDS / max(seconds, 1e-4)
        self._characters = int(min(max(fitting, self._characters / 2, 512), self._characters * 2))
        self._characters = min(self._characters, 65536)
        return seconds

    def _choose(self) -> tuple[list[tuple[DocumentJob, list[int]]], int]:
        """The texts of the next piece, one of each request in turn, and their characters."""
        chosen: dict[int, tuple[DocumentJob, list[int]]] = {}
        texts = characters = 0
        while self.waiting and texts < DOCUMENTS and characters < self._characters:
            job = self.waiting.popleft()
            place = job.waiting.popleft()
            chosen.setdefault(id(job), (job, []))[1].append(place)
            characters += len(job.texts[place]) + 1
            texts += 1
            if job.waiting:
                self.waiting.append(job)
        return list(chosen.values()), characters
