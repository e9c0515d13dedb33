"""One model's thread: what all requests want of it, batched together and in turn.

Thoughts of all requests share generation steps; their rows join and leave the engine's running
batch. Documents have a queue of their own, of which short pieces are read between the steps, for a
share of the time. It knows a model, no HTTP.
"""

import itertools
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from thought1.contracts import RunningBatch
from thought1.model.queries import PromptedQueries
from thought1.model.sentence_model import SentenceModel
from thought1.serving.jobs import (
    BareJob,
    BatchRow,
    CallJob,
    Cancelled,
    DocumentJob,
    Job,
    Listener,
    ThinkJob,
    Ticket,
)
from thought1.t1 import T1
from thought1.types import Sampling, Step, Thought1Error, Vectors

logger = logging.getLogger(__name__)

DOCUMENT_SHARE = 0.25
"""Of the time while questions wait too; without any, documents have all of it."""
PIECE_SECONDS = 0.1
"""How long documents are read at a time, about: what a question may have to wait for them."""
BARE = 64
"""Questions without thoughts that are read together."""
DOCUMENTS = 64
"""Documents that are read together at most."""

J = TypeVar("J", bound=Job)


class Meter(Protocol):
    """Hears how the model is used."""

    def step(self, rows: int, tokens: int, seconds: float) -> None:
        """One generation step: rows that took part, tokens that thoughts got."""

    def embedded(self, kind: str, texts: int, seconds: float) -> None:
        """Some texts ("query" or "document") were read together."""

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
        self._max_rows = max_rows
        self._wake = threading.Condition()
        self._inbox: deque[Job] = deque()
        self._closing = False
        self._running: RunningBatch | None = None
        self._rows: dict[int, BatchRow] = {}
        self._thoughts: deque[ThinkJob] = deque()
        self._bare: deque[BareJob] = deque()
        self._calls: deque[CallJob] = deque()
        self._documents: deque[DocumentJob] = deque()
        self._credit = 0.0
        self._characters = 4096
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    # -- verbs, for any thread -------------------------------------------------------------------

    def think(
        self,
        asked: PromptedQueries,
        budget: int,
        sampling: Sampling,
        samples: int,
        ticket: Ticket,
        listener: Listener | None = None,
    ) -> list[Any]:
        """`samples` thoughts about each question, with their vectors."""
        if not asked.rows:
            return []
        return list(self._submit(ThinkJob(ticket, asked, budget, sampling, samples, listener)))

    def bare(self, asked: PromptedQueries, ticket: Ticket) -> Vectors:
        """Vectors (n, d) of questions without thoughts."""
        vectors: Vectors = self._submit(BareJob(ticket, asked))
        return vectors

    def documents(self, texts: Sequence[str], ticket: Ticket) -> Vectors:
        """Vectors (n, d) of documents."""
        if not texts:
            return np.zeros((0, self.model.dim), np.float32)
        vectors: Vectors = self._submit(DocumentJob(ticket, texts))
        return vectors

    def call(self, call: Callable[[], Any], ticket: Ticket) -> Any:
        """What `call` returns, in the model's thread."""
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
        return self._thoughts, self._bare, self._calls, self._documents

    def _run(self) -> None:
        while True:
            with self._wake:
                while not (self._inbox or self._rows or any(self._queues) or self._closing):
                    self._wake.wait()
                if self._closing and not (self._inbox or self._rows or any(self._queues)):
                    return
                arrived, self._inbox = self._inbox, deque()
            for job in arrived:
                self._queue_of(job).append(job)
            try:
                self._turn()
            except Exception as error:
                logger.exception("a step of the model failed")
                self._fail_all(error)

    def _queue_of(self, job: Job) -> deque[Any]:
        kinds = (ThinkJob, BareJob, CallJob, DocumentJob)
        return next(q for q, kind in zip(self._queues, kinds, strict=True) if isinstance(job, kind))

    def _turn(self) -> None:
        """Something of everything that waits."""
        self._let_go()
        start = time.perf_counter()
        while self._calls:
            self._call(self._calls.popleft())
        if self._bare:
            self._read_bare()
        if self._thoughts:
            self._admit()
        if self._rows:
            self._step()
        self._meter.waiting("thought", sum(len(job.waiting) for job in self._thoughts))
        self._meter.waiting("document", sum(len(job.waiting) for job in self._documents))
        if not self._documents:
            self._credit = 0.0
            return
        spent = time.perf_counter() - start
        busy = bool(self._rows or self._thoughts or self._bare)
        self._credit += spent * DOCUMENT_SHARE / (1 - DOCUMENT_SHARE)
        if not busy or self._credit > 0:
            self._credit = min(self._credit, PIECE_SECONDS) - self._read_documents()

    def _let_go(self) -> None:
        """What nobody waits for any more leaves."""
        for queue in self._queues:
            for job in [job for job in queue if job.ticket.cancelled]:
                queue.remove(job)
                job.fail(Cancelled())
        gone = [row for row, own in self._rows.items() if own.job.ticket.cancelled]
        if gone and self._running is not None:
            self._running.leave(gone)
            for row in gone:
                self._rows.pop(row).job.fail(Cancelled())

    def _fail_all(self, error: Exception) -> None:
        jobs = {id(row.job): row.job for row in self._rows.values()}
        for job in [*jobs.values(), *itertools.chain(*self._queues)]:
            job.fail(error)
        for queue in self._queues:
            queue.clear()
        self._rows.clear()
        self._running = None

    def _call(self, job: CallJob) -> None:
        try:
            job.future.set_result(job.call())
        except Exception as error:
            job.fail(error)

    # -- thoughts --------------------------------------------------------------------------------

    @property
    def _t1(self) -> T1:
        assert isinstance(self.model, T1)  # what cannot think is asked for no thoughts
        return self.model

    def _admit(self) -> None:
        """Rows join while there is room, a question of each request in turn."""
        if self._running is None:
            self._running = self._t1.engine.running()
        if not self._running.open:
            return
        room = self._max_rows - len(self._rows)
        chosen: dict[object, list[tuple[ThinkJob, int]]] = defaultdict(list)
        while self._thoughts:
            job = self._thoughts[0]
            # More samples than rows there can be have the batch for themselves.
            if job.samples > room and (self._rows or chosen):
                break
            self._thoughts.popleft()
            key = (tuple(job.asked.prefix), job.sampling, job.samples)
            chosen[key].append((job, job.waiting.popleft()))
            room -= job.samples
            if job.waiting:
                self._thoughts.append(job)
        groups = list(chosen.values())
        for number, group in enumerate(groups):
            if not self._running.open:  # the others wait for an empty batch
                for job, question in reversed(list(itertools.chain(*groups[number:]))):
                    job.waiting.appendleft(question)
                    if job not in self._thoughts:
                        self._thoughts.appendleft(job)
                return
            self._join(group)

    def _join(self, group: Sequence[tuple[ThinkJob, int]]) -> None:
        """Questions whose prompts begin alike are read together."""
        assert self._running is not None
        group = [(job, question) for job, question in group if not job.future.done()]
        if not group:
            return
        first = group[0][0]
        try:
            rows = self._running.join(
                first.asked.prefix,
                [job.asked.rows[question] for job, question in group],
                [job.budget for job, _ in group],
                first.sampling,
                copies=first.samples,
                snapshots=self._t1.queries.reader.asked(()),
            )
        except Exception as error:
            if len(group) > 1 and isinstance(error, Thought1Error):
                for one in group:  # what does not fit must not make the others fail
                    self._join([one])
                return
            for job, _ in group:
                self._end(job, error)
            return
        numbers = itertools.chain(
            *(range(q * job.samples, (q + 1) * job.samples) for job, q in group)
        )
        owners = itertools.chain(*([job] * job.samples for job, _ in group))
        for row, job, number in zip(rows, owners, numbers, strict=True):
            self._rows[row] = BatchRow(job, number)

    def _end(self, job: ThinkJob, error: Exception) -> None:
        job.fail(error)
        if job in self._thoughts:
            self._thoughts.remove(job)
        own = [row for row, each in self._rows.items() if each.job is job]
        if own and self._running is not None:
            self._running.leave(own)
        for row in own:
            del self._rows[row]

    def _step(self) -> None:
        assert self._running is not None
        start, rows = time.perf_counter(), len(self._rows)
        step = self._running.step()
        self._meter.step(rows, len(step.tokens), time.perf_counter() - start)
        for row, token in step.tokens.items():
            self._rows[row].job.hear(self._rows[row].number, token)
        for row, snapshot in step.snapshots.items():
            self._rows[row].snapshots[snapshot.budget] = snapshot
        if step.finished:
            self._finish(step)

    def _finish(self, step: Step) -> None:
        """Read the vectors of the thoughts that have ended with this step."""
        side = self._t1.queries
        ended = {row: self._rows.pop(row) for row in step.finished}
        lengths = side.reader.asked(())
        done = [
            row.complete(step.finished[key], lengths, step.seconds) for key, row in ended.items()
        ]
        questions = [row.job.asked.texts[row.number // row.job.samples] for row in ended.values()]
        try:
            read = side.reader.read(questions, done, (), side.decode)
        except Exception as error:
            for row in ended.values():
                self._end(row.job, error)
            return
        for row, generation in zip(ended.values(), read, strict=True):
            row.job.finish(row.number, side.thought(generation))

    # -- vectors ---------------------------------------------------------------------------------

    def _read_bare(self) -> None:
        """Questions without thoughts whose prompts begin alike, together."""
        first = self._bare.popleft()
        jobs, texts = [first], len(first.asked.texts)
        for job in list(self._bare):
            alike = tuple(job.asked.prefix) == tuple(first.asked.prefix)
            if alike and texts + len(job.asked.texts) <= BARE:
                self._bare.remove(job)
                jobs.append(job)
                texts += len(job.asked.texts)
        together = PromptedQueries(
            [text for job in jobs for text in job.asked.texts],
            first.asked.prefix,
            [row for job in jobs for row in job.asked.rows],
        )
        start = time.perf_counter()
        try:
            vectors = self._t1.queries.bare(together, BARE)
        except Exception as error:
            for job in jobs:
                job.fail(error)
            return
        self._meter.embedded("query", texts, time.perf_counter() - start)
        ends = np.cumsum([len(job.asked.texts) for job in jobs])[:-1]
        for job, own in zip(jobs, np.split(vectors, ends), strict=True):
            job.future.set_result(own)

    def _choose_documents(self) -> tuple[dict[int, tuple[DocumentJob, list[int]]], int]:
        """The texts of the next piece, one of each request in turn, and their characters."""
        chosen: dict[int, tuple[DocumentJob, list[int]]] = {}
        texts = characters = 0
        while self._documents and texts < DOCUMENTS and characters < self._characters:
            job = self._documents.popleft()
            place = job.waiting.popleft()
            chosen.setdefault(id(job), (job, []))[1].append(place)
            characters += len(job.texts[place]) + 1
            texts += 1
            if job.waiting:
                self._documents.append(job)
        return chosen, characters

    def _read_documents(self) -> float:
        """A piece of the documents that wait; its seconds."""
        chosen, characters = self._choose_documents()
        start = time.perf_counter()
        order = [(job, place) for job, places in chosen.values() for place in places]
        try:
            vectors = np.asarray(self.model.encode_document([j.texts[place] for j, place in order]))
        except Exception as error:
            for job, _ in chosen.values():
                job.waiting.clear()
                job.fail(error)
            self._documents = deque(job for job in self._documents if job.waiting)
            return 0.0
        seconds = time.perf_counter() - start
        self._meter.embedded("document", len(order), seconds)
        done = 0
        for job, places in chosen.values():
            job.finish(places, vectors[done : done + len(places)])
            done += len(places)
        fitting = characters * PIECE_SECONDS / max(seconds, 1e-4)
        self._characters = int(min(max(fitting, self._characters / 2, 512), self._characters * 2))
        self._characters = min(self._characters, 65536)
        return seconds
