"""What requests want of a model, piece by piece, and the hold of a request on its pieces.

Plain bookkeeping for `batching`: it knows neither HTTP nor how a model computes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from thought1.model.queries import Plan, PromptedQueries
from thought1.model.reader import Reader
from thought1.types import Generation, Snapshot, Thought, Vectors


class Cancelled(Exception):
    """No client waits for the answer any more."""


class Ticket:
    """One request's hold on its work: cancelled, all of it ends with the step that runs."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether no client waits for the answer any more."""
        return self._event.is_set()

    def cancel(self) -> None:
        """End the work; may be called from any thread, and more than once."""
        self._event.set()
        for callback in self._callbacks:
            callback()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the work is to end."""
        self._callbacks.append(callback)


class Listener(Protocol):
    """Hears what is thought about a request's questions, from the model's thread."""

    def token(self, query: int, sample: int, token_id: int) -> None:
        """A thought has got a token."""

    def thought(self, query: int, sample: int, thought: Thought) -> None:
        """A thought is finished."""


@dataclass(eq=False)
class Job:
    """Something of one request that is to be done."""

    ticket: Ticket
    future: "Future[Any]" = field(default_factory=Future, init=False)

    def wait(self) -> Any:
        """The result, when it is there.

        Raises:
            Cancelled: the request has ended before.
        """
        return self.future.result()

    def fail(self, error: BaseException) -> None:
        """End it without a result."""
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(eq=False)
class ThinkJob(Job):
    """Thoughts about some questions."""

    prompts: PromptedQueries
    plan: Plan
    """With its sampling."""
    listener: Listener | None = None
    waiting: deque[int] = field(init=False)
    """Questions that have not been started."""
    found: dict[int, Thought] = field(default_factory=dict, init=False)
    """Question x samples + sample -> thought."""
    reader: Reader | None = field(default=None, init=False)
    """Of thoughts that may end at a checkpoint: it remembers what its companion has read."""

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.prompts.rows)))

    def hear(self, number: int, token_id: int) -> None:
        """A thought has got a token."""
        if self.listener is not None:
            self.listener.token(*divmod(number, self.plan.samples), token_id)

    def finish(self, number: int, thought: Thought) -> None:
        """A thought is there; with the last one the job is done."""
        self.found[number] = thought
        if self.listener is not None:
            self.listener.thought(*divmod(number, self.plan.samples), thought)
        whole = len(self.prompts.rows) * self.plan.samples
        if len(self.found) == whole and not self.future.done():
            self.future.set_result([self.found[number] for number in sorted(self.found)])


@dataclass(eq=False)
class BareJob(Job):
    """Vectors of questions without thoughts."""

    prompts: PromptedQueries


@dataclass(eq=False)
class CallJob(Job):
    """Anything else that is quick, in the model's thread."""

    call: Callable[[], Any]


@dataclass(eq=False)
class DocumentJob(Job):
    """Vectors of documents; the longest are read first, so that a batch is of similar lengths."""

    texts: Sequence[str]
    waiting: deque[int] = field(init=False)
    vectors: dict[int, Vectors] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        order = sorted(range(len(self.texts)), key=lambda i: -len(self.texts[i]))
        self.waiting = deque(order)

    def finish(self, places: Sequence[int], vectors: Vectors) -> None:
        """Some vectors are there; with the last one the job is done."""
        self.vectors.update(zip(places, vectors, strict=True))
        if len(self.vectors) == len(self.texts) and not self.future.done():
            self.future.set_result(np.stack([self.vectors[i] for i in range(len(self.texts))]))


@dataclass(eq=False, slots=True)
class BatchRow:
    """A thought that is being written: whose it is, what it has got, and what was read aside."""

    job: ThinkJob
    number: int
    began: float
    """When it joined, by `time.perf_counter`."""
    tokens: list[int] = field(default_factory=list)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """What it is about."""
        return self.job.prompts.texts[self.number // self.job.plan.samples]

    def settled(self, shot: Snapshot) -> Generation:
        """What it is if it ends at the snapshot that it has just got."""
        tokens = tuple(self.tokens[: shot.budget])
        before = tuple(self.snapshots[length] for length in sorted(self.snapshots))
        return Generation(tokens, "settled", shot.vector, snapshots=before)

    def complete(self, done: Generation, lengths: Sequence[int]) -> Generation:
        """The generation with the snapshots that its reader needs; a thought that ended earlier
        has its final vector there."""
        seconds = time.perf_counter() - self.began
        shots = []
        for length in sorted(lengths):
            shot = self.snapshots.get(length)
            if shot is None or len(done.token_ids) <= length:
                shot = Snapshot(length, done.vector, shot.seconds if shot else seconds)
            shots.append(shot)
        return replace(done, snapshots=tuple(shots))
