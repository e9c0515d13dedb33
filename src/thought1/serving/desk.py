"""Where requests wait for their work: places, threads, time limits, clients that leave.

It knows requests and threads, not what is done in them.
"""

import asyncio
import contextvars
import math
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from fastapi import Request

from thought1.serving.errors import ApiError, told
from thought1.serving.jobs import Cancelled, Ticket
from thought1.serving.limits import Limits
from thought1.serving.metrics import Metrics
from thought1.types import IndexUnavailable, Thought1Error

T = TypeVar("T")
Kind = Literal["model", "write"]
Emit = Callable[[Any], None]

PING_SECONDS = 15.0
"""A stream says that it lives so often, for the proxies in between."""
_END = object()


@dataclass
class _Room:
    """The places of one kind of request."""

    places: int
    pool: ThreadPoolExecutor
    taken: int = 0
    seconds: float = 1.0
    """How long a request takes, about."""


@dataclass
class _Work:
    """What is done for one request, in a thread."""

    ticket: Ticket
    future: "asyncio.Future[Any]"
    gone: "asyncio.Task[None]"
    deadline: float
    events: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - asyncio.get_running_loop().time()

    def end(self) -> None:
        """No client waits any more."""
        self.gone.cancel()
        self.ticket.cancel()


class Desk:
    """Runs the work of requests in threads, as many at a time as the limits say.

    Args:
        without_paths: takes the folders of this machine out of a message for clients.
    """

    def __init__(
        self, limits: Limits, metrics: Metrics, without_paths: Callable[[str], str] = str
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._without_paths = without_paths
        places: dict[Kind, int] = {"model": limits.requests, "write": limits.writes}
        self._rooms: dict[Kind, _Room] = {
            kind: _Room(number, ThreadPoolExecutor(number, thread_name_prefix=kind))
            for kind, number in places.items()
        }

    async def run(self, request: Request, kind: Kind, work: Callable[[Ticket], T]) -> T:
        """What `work` returns.

        Raises:
            ApiError: no place is free (429), it takes too long (504), the client has left, or the
                work went wrong.
        """
        started = self._start(request, kind, lambda ticket, _emit: work(ticket))
        try:
            waited = {started.future, started.gone}
            done, _ = await asyncio.wait(
                waited, timeout=started.left, return_when=asyncio.FIRST_COMPLETED
            )
            if started.future in done:
                found: T = started.future.result()
                return found
            raise self._abandoned(started)
        except Exception as error:
            raise self._told(error) from error
        finally:
            started.end()

    async def stream(
        self, request: Request, work: Callable[[Ticket, Emit], None]
    ) -> AsyncIterator[Any]:
        """What `work` emits, as it comes; None where nothing came for a while.

        The first event is waited for before this returns, so that what is wrong with a request is
        an answer of its own.

        Raises:
            ApiError: as `run` does, before the first event.
        """
        started = self._start(request, "model", work)
        try:
            first = await self._next(started, None)
        except Exception as error:
            started.end()
            raise self._told(error) from error
        return self._rest(started, first)

    async def _rest(self, started: _Work, event: Any) -> AsyncIterator[Any]:
        try:
            while event is not _END:
                yield event
                event = await self._next(started, PING_SECONDS)
        except Exception as error:
            refusal = self._told(error)
            self._metrics.errors.labels(refusal.code).inc()  # the status has been sent: 200
            yield refusal
        finally:
            started.end()

    async def _next(self, started: _Work, patience: float | None) -> Any:
        """The next event; `_END` where there is none any more, None where patience has ended."""
        getting = asyncio.ensure_future(started.events.get())
        try:
            left = started.left
            wait = left if patience is None else min(left, patience)
            done, _ = await asyncio.wait(
                {getting, started.gone}, timeout=max(0.0, wait), return_when=asyncio.FIRST_COMPLETED
            )
            if getting in done:
                event = getting.result()
                if event is _END:
                    started.future.result()  # raises what the work raised
                return event
            if started.gone in done or started.left <= 0:
                raise self._abandoned(started)
            return None
        finally:
            getting.cancel()

    def _start(self, request: Request, kind: Kind, work: Callable[[Ticket, Emit], Any]) -> _Work:
        room = self._rooms[kind]
        if room.taken >= room.places:
            wait = max(1, math.ceil(room.seconds))
            raise ApiError(
                429,
                "queue_full",
                f"the server is busy with {room.taken} requests: try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )
        loop, ticket = asyncio.get_running_loop(), Ticket()
        began = loop.time()
        events: asyncio.Queue[Any] = asyncio.Queue()

        def emit(event: Any) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        self._take(kind, room, 1)
        # With the request's id, which its records bear.
        context = contextvars.copy_context()
        future = loop.run_in_executor(room.pool, context.run, work, ticket, emit)

        def left(done: "asyncio.Future[Any]") -> None:
            self._take(kind, room, -1)
            if not done.cancelled() and done.exception() is None:
                room.seconds += 0.1 * (loop.time() - began - room.seconds)
            events.put_nowait(_END)

        future.add_done_callback(left)
        gone = asyncio.create_task(_disconnected(request))
        return _Work(ticket, future, gone, began + self._limits.seconds, events)

    def _told(self, error: Exception) -> ApiError:
        """The error for the client."""
        if isinstance(error, Cancelled):
            return ApiError(503, "shutting_down", "the server is shutting down")
        if isinstance(error, Thought1Error) and not isinstance(error, IndexUnavailable):
            return told(Thought1Error(self._without_paths(str(error))))
        return told(error)

    def _take(self, kind: Kind, room: _Room, places: int) -> None:
        room.taken += places
        self._metrics.in_flight.labels(kind).set(room.taken)

    def _abandoned(self, started: _Work) -> ApiError:
        if started.gone.done():
            return ApiError(499, "client_closed_request", "the client has left")
        seconds = self._limits.seconds
        return ApiError(504, "timeout", f"this took longer than {seconds:g} s and was given up")


async def _disconnected(request: Request) -> None:
    """Returns when the client has left; the body has been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
