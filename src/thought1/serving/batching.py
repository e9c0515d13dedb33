"""One model's thread: what all requests want of it, each in turn.

Between two steps of the thoughts that are written together (`writing`), short pieces of documents
are read, for a share of the time (`reading`). It knows a model, no HTTP.
"""

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from thought1.model.queries import Plan, PromptedQueries
from thought1.model.sentence_model import SentenceModel
from thought1.serving.jobs import (
    BareJob,
    CallJob,
    Cancelled,
    DocumentJob,
    Job,
    Listener,
    ThinkJob,
    Ticket,
)
from thought1.serving.reading import PIECE_SECONDS, BareQuestions, QueuedDocuments, ReadMeter
from thought1.serving.writing import StepMeter, ThoughtWriting
from thought1.t1 import T1
from thought1.types import Vectors

logger = logging.getLogger(__name__)

DOCUMENT_SHARE = 0.25
"""Of the time while questions wait too; without any, documents have all of it."""


class Meter(StepMeter, ReadMeter, Protocol):
    """Hears how the model is used."""

    def waiting(self, kind: str, texts: int) -> None:
        """So many texts ("thought" or "document") wait now."""


class Batcher:
    """Runs a model for many threads, in one of its own. Every verb waits for its result.

    Args:
        max_rows: thoughts that are written together, at most.

    Every verb raises `Cancelled` where its ticket is cancelled before the result is there, and
    what the model raises.
    """

    def __init__(self, model: T1 | SentenceModel, meter: Meter, *, max_rows: int = 32) -> None:
        self.model = model
        self.text_lock = threading.Lock()
        """To be held by who tokenises in another thread than the model's."""
        self._meter = meter
        self._wake = threading.Condition()
        self._inbox: deque[Job] = deque()
        self._closing = False
        self._thoughts = ThoughtWriting(model, meter, max_rows)
        self._bare = BareQuestions(model, meter)
        self._documents = QueuedDocuments(model, meter)
        self._calls: deque[CallJob] = deque()
        self._credit = 0.0
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    # -- verbs, for any thread -------------------------------------------------------------------

    def think(
        self,
        prompts: PromptedQueries,
        plan: Plan,
        ticket: Ticket,
        listener: Listener | None = None,
    ) -> list[Any]:
        """`plan.samples` thoughts about each question, with their vectors."""
        if not prompts.rows:
            return []
        return list(self._submit(ThinkJob(ticket, prompts, plan, listener)))

    def bare(self, prompts: PromptedQueries, ticket: Ticket) -> Vectors:
        """Vectors (n, d) of questions without thoughts."""
        vectors: Vectors = self._submit(BareJob(ticket, prompts))
        return vectors

    def documents(self, texts: Sequence[str], ticket: Ticket) -> Vectors:
        """Vectors (n, d) of documents."""
        if not texts:
            return np.zeros((0, self.model.dim), np.float32)
        vectors: Vectors = self._submit(DocumentJob(ticket, texts))
        return vectors

    def call(self, call: Callable[[], Any], ticket: Ticket) -> Any:
        """What `call`, which is quick, returns in the model's thread."""
        return self._submit(CallJob(ticket, call))

    def close(self) -> None:
        """Take nothing more, finish what is there, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it takes work."""
        return self._thread.is_alive() and not self._closing

    def _submit(self, job: Job) -> Any:
        job.ticket.on_cancel(self._notify)
        with self._wake:
            if self._closing:
                raise Cancelled("the server is shutting down")
            self._inbox.append(job)
            self._wake.notify_all()
        return job.wait()

    def _notify(self) -> None:
        with self._wake:
            self._wake.notify_all()

    # -- the model's thread ----------------------------------------------------------------------

    @property
    def _queues(self) -> tuple[deque[Any], ...]:
        return (
            self._thoughts.waiting,
            self._bare.waiting,
            self._calls,
            self._documents.waiting,
        )

    @property
    def _busy(self) -> bool:
        return bool(self._thoughts.rows or any(self._queues))

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._inbox or self._busy or self._closing):
                    self._wake.wait()
                if self._closing and not (self._inbox or self._busy):
                    return
                arrived, self._inbox = self._inbox, deque()
                for job in arrived:
                    self._queue_of(job).append(job)
            try:
                self._turn()
            except Exception as error:
                logger.exception("a step of the model failed")
                self._fail_all(error)
            self._tell_waiting()

    def _queue_of(self, job: Job) -> deque[Any]:
        kinds = (ThinkJob, BareJob, CallJob, DocumentJob)
        return next(q for q, kind in zip(self._queues, kinds, strict=True) if isinstance(job, kind))

    def _turn(self) -> None:
        """Something of everything that waits."""
        self._let_go()
        start = time.perf_counter()
        if self._calls:
            self._call(self._calls.popleft())
        if self._bare.waiting:
            self._bare.turn()
        self._thoughts.turn()
        if not self._documents.waiting:
            self._credit = 0.0
            return
        spent = time.perf_counter() - start
        questions = bool(self._thoughts or self._bare.waiting or self._calls)
        self._credit += spent * DOCUMENT_SHARE / (1 - DOCUMENT_SHARE)
        if not questions or self._credit > 0:
            self._credit = min(self._credit, PIECE_SECONDS) - self._documents.turn()

    def _tell_waiting(self) -> None:
        for kind, jobs in (
            ("thought", self._thoughts.waiting),
            ("document", self._documents.waiting),
        ):
            self._meter.waiting(kind, sum(len(job.waiting) for job in jobs))

    def _let_go(self) -> None:
        """Removes jobs that no client waits for."""
        for queue in self._queues:
            for job in [job for job in queue if job.ticket.cancelled]:
                queue.remove(job)
                job.fail(Cancelled())
        self._thoughts.let_go()

    def _fail_all(self, error: Exception) -> None:
        self._thoughts.fail(error)
        for job in itertools.chain(*self._queues):
            job.fail(error)
        for queue in self._queues:
            queue.clear()

    def _call(self, job: CallJob) -> None:
        try:
            job.future.set_result(job.call())
        except Exception as error:
            job.fail(error)
