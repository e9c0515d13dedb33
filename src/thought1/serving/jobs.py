"""What requests want of a model, piece by piece, and the hold of a request on its pieces.

Plain bookkeeping for `batching`: it knows neither HTTP nor how a model computes.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from thought1.model.queries import PromptedQueries
from thought1.types import Generation, Sampling, Snapshot, Thought, Vectors


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


class Ticket:
    """One request's hold on its work: cancelled, all of it ends with the step that runs."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer any more."""
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

    asked: PromptedQueries
    budget: int
    sampling: Sampling
    samples: int
    listener: Listener | None = None
    waiting: deque[int] = field(init=False)
    """Questions that nobody thinks about yet."""
    found: dict[int, Thought] = field(default_factory=dict, init=False)
    """Question x samples + sample -> thought."""

    def __post_init__(self) -> None:
        self.waiting = deque(range(len(self.asked.rows)))

    def hear(self, number: int, token_id: int) -> None:
        """A thought has got a token."""
        if self.listener is not None:
            self.listener.token(*divmod(number, self.samples), token_id)

    def finish(self, number: int, thought: Thought) -> None:
        """A thought is there; with the last one the job is done."""
        self.found[number] = thought
        if self.listener is not None:
            self.listener.thought(*divmod(number, self.samples), thought)
        if len(self.found) == len(self.asked.rows) * self.samples and not self.future.done():
            self.future.set_result([self.found[number] for number in sorted(self.found)])


@dataclass(eq=False)
class BareJob(Job):
    """Vectors of questions without thoughts."""

    asked: PromptedQueries


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
    """A thought that is being written: whose it is, and what was read aside of it."""

    job: ThinkJob
    number: int
    snapshots: dict[int, Snapshot] = field(default_factory=dict)

    def complete(self, done: Generation, lengths: Sequence[int], seconds: float) -> Generation:
        """The generation with the snapshots that its reader needs; a thought that ended earlier
        has its final vector there."""
        shots = tuple(
            self.snapshots.get(length) or Snapshot(length, done.vector, seconds)
            for length in sorted(lengths)
        )
        return Generation(
            done.token_ids, done.finish_reason, done.vector, done.logprobs, snapshots=shots
        )
