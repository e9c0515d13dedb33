"""Answers from any server that speaks OpenAI's chat protocol: POST URL/v1/chat/completions.

Knows messages and texts; what is asked is the caller's business.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from thought1.openai_client import Endpoint
from thought1.types import Thought1Error

TIMEOUT = 60.0
"""Seconds for one answer."""
WAITS = (1.0, 2.0)
"""Seconds before each new attempt: fewer than for an evaluation, since somebody waits."""
AT_A_TIME = 8
"""Requests that are sent together."""

Messages = Sequence[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said."""

    text: str
    tokens: int = 0
    """Read and written, by the server's count; 0 where it counts none."""
    written: int = 0
    """Of these, written."""
    first: tuple[tuple[str, float], ...] = ()
    """The likeliest first tokens with their log-probabilities, where they were asked for and the
    server gives them."""


@dataclass
class ChatServer:
    """A model on a server; for any number of threads."""

    url: str
    """Up to and without /v1/chat/completions; a final /v1 is accepted."""
    model: str
    waits: Sequence[float] = WAITS
    timeout: float = TIMEOUT

    @classmethod
    def named(cls, spec: str) -> "ChatServer":
        """The server behind `KIND:URL#MODEL`; nothing is asked of it yet.

        Raises:
            Thought1Error: the name has another form.
        """
        kind, _, rest = spec.partition(":")
        url, _, model = rest.partition("#")
        if not url or not model:
            raise Thought1Error(
                f"{spec!r}: name server and model, as {kind}:http://127.0.0.1:8080#MODEL"
            )
        return cls(url, model)

    def answer(self, messages: Messages, most: int, *, first: int = 0) -> Answer:
        """What the model says, greedily.

        Args:
            most: tokens of the answer, at most.
            first: how many of the likeliest first tokens are asked for.

        Raises:
            Thought1Error: the server is not reached, refuses, takes too long, or answers something
                else.
        """
        more: dict[str, Any] = {"logprobs": True, "top_logprobs": first} if first else {}
        found = self._endpoint.ask(
            lambda client, headers: client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=list(messages),
                max_tokens=most,
                temperature=0,
                extra_headers=headers,
                **more,
            )
        )
        try:
            choice, usage = found["choices"][0], found.get("usage") or {}
            text = choice["message"].get("content") or ""
            if not isinstance(text, str):
                raise TypeError("the content is no text")
            written = int(usage.get("completion_tokens") or 0)
            tokens = int(usage.get("prompt_tokens") or 0) + written
            return Answer(text, tokens, written, _first(choice) if first else ())
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self._endpoint.strange(f"{type(error).__name__}: {error}") from error

    def answers(
        self, prompts: Sequence[Messages], most: int, *, first: int = 0
    ) -> list[Answer | Thought1Error]:
        """`answer` for each of them, some at a time; an error stands in the place of its answer."""

        def ask(messages: Messages) -> Answer | Thought1Error:
            try:
                return self.answer(messages, most, first=first)
            except Thought1Error as error:
                return error

        if not prompts:
            return []
        with ThreadPoolExecutor(min(AT_A_TIME, len(prompts))) as pool:
            return list(pool.map(ask, prompts))

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(
            self.url, "chat/completions", "chat", self.waits, self.timeout, after_timeout=False
        )


def _first(choice: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    """Not every server knows log-probabilities."""
    tokens = (choice.get("logprobs") or {}).get("content") or []
    if not tokens:
        return ()
    return tuple((str(one["token"]), float(one["logprob"])) for one in tokens[0]["top_logprobs"])
