"""Server-sent events: thoughts as they are written, then hits, then the receipt.

    event: thought
    data: {"type":"thought","query":0,"sample":0,"token_id":17,"text":" heat"}

An error after the first event is an event too, with the body that an error answer has. The last
line is `data: [DONE]`, as in OpenAI's streams.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.responses import StreamingResponse

from thought1.serving.answers import ThoughtEvent, ThoughtOut, TokenEvent
from thought1.serving.desk import Emit
from thought1.serving.errors import ApiError
from thought1.types import Thought

HEADERS = {"X-Accel-Buffering": "no"}  # else nginx keeps events back
Decode = Callable[[Sequence[int]], str]


@dataclass(slots=True)
class TextStream:
    """The text of a thought, token by token.

    Only the last few tokens are decoded each time. What is not yet a whole character waits for
    the next token.
    """

    decode: Decode
    ids: list[int] = field(default_factory=list)
    _start: int = 0
    _told: int = 0

    def push(self, token_id: int) -> str:
        """What one more token adds to the text."""
        self.ids.append(token_id)
        before = self.decode(self.ids[self._start : self._told])
        after = self.decode(self.ids[self._start :])
        if len(after) <= len(before) or after.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        self._start, self._told = self._told, len(self.ids)
        return after[len(before) :]


class Reporter:
    """Tells a client what is thought about its questions; a `jobs.Listener`.

    Args:
        first: is called with the seconds from here to the first token.
    """

    def __init__(self, emit: Emit, decode: Decode, first: Callable[[float], object]) -> None:
        self._emit = emit
        self._decode = decode
        self._first = first
        self._began = time.perf_counter()
        self._texts: dict[tuple[int, int], TextStream] = {}

    def token(self, query: int, sample: int, token_id: int) -> None:
        """A thought has got a token."""
        if not self._texts:
            self._first(time.perf_counter() - self._began)
        stream = self._texts.setdefault((query, sample), TextStream(self._decode))
        text = stream.push(token_id)
        self._emit(TokenEvent(query=query, sample=sample, token_id=token_id, text=text))

    def thought(self, query: int, sample: int, thought: Thought) -> None:
        """A thought is finished."""
        shown = ThoughtOut.of(thought).model_dump()
        self._emit(ThoughtEvent(query=query, sample=sample, **shown))


def sent_events(events: AsyncIterator[BaseModel | ApiError | None]) -> StreamingResponse:
    """The answer whose body is these events."""
    return StreamingResponse(_lines(events), media_type="text/event-stream", headers=HEADERS)


async def _lines(events: AsyncIterator[BaseModel | ApiError | None]) -> AsyncIterator[str]:
    async for event in events:
        if event is None:
            yield ": still at work\n\n"
        elif isinstance(event, ApiError):
            yield f"event: error\ndata: {event.body.model_dump_json()}\n\n"
        else:
            name = event.model_dump(include={"type"})["type"]
            yield f"event: {name}\ndata: {event.model_dump_json()}\n\n"
    yield "data: [DONE]\n\n"
