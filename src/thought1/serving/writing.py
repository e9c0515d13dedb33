"""The thoughts of all requests, written together: which rows join the running batch, what each has
got, and what is finished. It knows a model and its own queue; whose turn it is, `batching` knows.
"""

import itertools
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Protocol

from thought1.contracts import RunningBatch
from thought1.model.queries import QuerySide
from thought1.model.sentence_model import SentenceModel
from thought1.serving.jobs import BatchRow, Cancelled, ThinkJob
from thought1.t1 import T1
from thought1.types import Generation, Step, Thought1Error


class StepMeter(Protocol):
    """Hears of every generation step."""

    def step(self, rows: int, tokens: int, seconds: float) -> None:
        """Rows that took part, and tokens that thoughts got."""


class ThoughtWriting:
    """The running batch of one model, and the questions that wait for a place in it.

    To be used by the model's thread alone.

    Args:
        max_rows: thoughts that are written together, at most.
    """

    def __init__(self, model: T1 | SentenceModel, meter: StepMeter, max_rows: int) -> None:
        self._model = model
        self._meter = meter
        self._max_rows = max_rows
        self._running: RunningBatch | None = None
        self.rows: dict[int, BatchRow] = {}
        self.waiting: deque[ThinkJob] = deque()

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.rows or self.waiting)

    def turn(self) -> None:
        """Rows join while there is room, and all get a token."""
        if self.waiting:
            self._admit()
        if self.rows:
            self._step()

    def let_go(self) -> None:
        """Removes rows that no client waits for."""
        gone = [row for row, own in self.rows.items() if own.job.ticket.cancelled]
        if gone and self._running is not None:
            self._running.leave(gone)
            for row in gone:
                self.rows.pop(row).job.fail(Cancelled())

    def fail(self, error: Exception) -> None:
        """End all that is in the batch."""
        for job in {id(row.job): row.job for row in self.rows.values()}.values():
            job.fail(error)
        self.rows.clear()
        self._running = None

    @property
    def _t1(self) -> T1:
        assert isinstance(self._model, T1)  # what cannot think is asked for no thoughts
        return self._model

    @property
    def _side(self) -> QuerySide:
        return self._t1.queries

    # -- joining ---------------------------------------------------------------------------------

    def _admit(self) -> None:
        """Rows join while there is room, a question of each request in turn."""
        if self._running is None:
            self._running = self._t1.engine.running()
        if not self._running.open:
            return
        room = self._max_rows - len(self.rows)
        chosen: dict[object, list[tuple[ThinkJob, int]]] = defaultdict(list)
        while self.waiting:
            job = self.waiting[0]
            # More samples than rows there can be have the batch for themselves.
            if job.plan.samples > room and (self.rows or chosen):
                break
            self.waiting.popleft()
            plan = job.plan
            key = tuple(job.prompts.prefix), plan.sampling, plan.samples, tuple(plan.checkpoints)
            chosen[key].append((job, job.waiting.popleft()))
            room -= plan.samples
            if job.waiting:
                self.waiting.append(job)
        groups = list(chosen.values())
        for number, group in enumerate(groups):
            if not self._running.open:  # the others wait for an empty batch
                for job, question in reversed(list(itertools.chain(*groups[number:]))):
                    job.waiting.appendleft(question)
                    if job not in self.waiting:
                        self.waiting.appendleft(job)
                return
            self._join(group)

    def _join(self, group: Sequence[tuple[ThinkJob, int]]) -> None:
        """Questions whose prompts begin alike are read together."""
        assert self._running is not None
        group = [(job, question) for job, question in group if not job.future.done()]
        if not group:
            return
        first, began = group[0][0], time.perf_counter()
        try:
            rows = self._running.join(
                first.prompts.prefix,
                [job.prompts.rows[question] for job, question in group],
                [job.plan.budget for job, _ in group],
                self._side.sampling(first.plan.sampling, first.plan.samples),
                copies=first.plan.samples,
                snapshots=self._side.reader.needed(first.plan.checkpoints),
            )
        except Exception as error:
            if len(group) > 1 and isinstance(error, Thought1Error):
                for one in group:  # what does not fit must not make the others fail
                    self._join([one])
                return
            for job, _ in group:
                self._end(job, error)
            return
        copies = first.plan.samples
        numbers = itertools.chain(*(range(q * copies, (q + 1) * copies) for _, q in group))
        owners = itertools.chain(*([job] * copies for job, _ in group))
        for row, job, number in zip(rows, owners, numbers, strict=True):
            self.rows[row] = BatchRow(job, number, began)

    def _end(self, job: ThinkJob, error: Exception) -> None:
        job.fail(error)
        if job in self.waiting:
            self.waiting.remove(job)
        own = [row for row, each in self.rows.items() if each.job is job]
        if own and self._running is not None:
            self._running.leave(own)
        for row in own:
            del self.rows[row]

    # -- steps -----------------------------------------------------------------------------------

    def _step(self) -> None:
        assert self._running is not None
        start, rows = time.perf_counter(), len(self.rows)
        step = self._running.step()
        self._meter.step(rows, len(step.tokens), time.perf_counter() - start)
        for row, token in step.tokens.items():
            self.rows[row].tokens.append(token)
        for row, snapshot in step.snapshots.items():
            self.rows[row].snapshots[snapshot.budget] = snapshot
        settled = self._settled(step)
        self._running.leave(list(settled))
        for row, token in step.tokens.items():
            # The token after the checkpoint at which a thought ended is none of it.
            if row in self.rows and row not in settled:
                self.rows[row].job.hear(self.rows[row].number, token)
        self._finish({**step.finished, **settled})

    def _settled(self, step: Step) -> dict[int, Generation]:
        """The thoughts that end at the checkpoint which they have just reached."""
        groups: dict[tuple[ThinkJob, int], list[int]] = defaultdict(list)
        for row, shot in step.snapshots.items():
            job = self.rows[row].job
            watched = job.plan.until is not None and shot.budget in job.plan.checkpoints
            if watched and row in step.tokens:
                groups[job, shot.budget].append(row)
        found: dict[int, Generation] = {}
        for (job, tokens), rows in groups.items():
            so_far = {row: self.rows[row].settled(step.snapshots[row]) for row in rows}
            try:
                ending = self._ending(job, tokens, so_far)
            except Exception as error:
                self._end(job, error)
            else:
                found |= {row: so_far[row] for row in rows if self.rows[row].number in ending}
        return found

    def _ending(self, job: ThinkJob, tokens: int, so_far: Mapping[int, Generation]) -> set[int]:
        """The numbers of the thoughts that end here."""
        assert job.plan.until is not None
        own = [self.rows[row] for row in so_far]
        job.reader = job.reader or self._side.reader.remembering()
        questions = [row.question for row in own]
        read = job.reader.read(questions, list(so_far.values()), (), self._side.decode)
        vectors = {row.number: one.vector for row, one in zip(own, read, strict=True)}
        return set(job.plan.until(tokens, vectors))

    def _finish(self, finished: Mapping[int, Generation]) -> None:
        """Read the vectors of the thoughts that have ended with this step."""
        alike: dict[tuple[int, ...], list[tuple[BatchRow, Generation]]] = defaultdict(list)
        for number, done in finished.items():
            row = self.rows.pop(number, None)
            if row is not None:  # else its request has failed at a checkpoint
                alike[tuple(row.job.plan.checkpoints)].append((row, done))
        for checkpoints, ended in alike.items():
            self._read(ended, checkpoints)

    def _read(
        self, ended: Sequence[tuple[BatchRow, Generation]], checkpoints: Sequence[int]
    ) -> None:
        side = self._side
        lengths = side.reader.needed(checkpoints)
        done = [row.complete(generation, lengths) for row, generation in ended]
        questions = [row.question for row, _ in ended]
        try:
            read = side.reader.read(questions, done, checkpoints, side.decode)
        except Exception as error:
            for row, _ in ended:
                self._end(row.job, error)
            return
        for (row, _), generation in zip(ended, read, strict=True):
            row.job.finish(row.number, side.thought(generation))
