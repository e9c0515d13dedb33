"""Requests to any server that speaks OpenAI's protocol, through the `openai` client.

Waiting, trying again and decoding are ours, so that what is documented holds; nothing but the key
is taken from the environment, and it is never logged. Knows no kind of request.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from thought1.types import Thought1Error

KEY = "OPENAI_API_KEY"
"""The environment variable whose content, if any, is sent as the bearer token."""

Call = Callable[[Any, dict[str, Any]], Any]
"""Given the client and the headers to send: the raw response."""


@dataclass
class Endpoint:
    """One path of a server."""

    url: str
    """Up to and without /v1; a final /v1 is accepted."""
    path: str
    """Behind /v1/."""
    kind: str
    """What answers there, as messages call it."""
    waits: Sequence[float]
    """Seconds before each new attempt where the server is busy (429), broken (5xx) or not
    reached."""
    timeout: float
    """Seconds for one answer."""
    after_timeout: bool = True
    """Whether it is asked again where no answer came in that time."""

    @property
    def address(self) -> str:
        """The whole of it."""
        return f"{self.url.rstrip('/').removesuffix('/v1')}/v1/{self.path}"

    def ask(self, call: Call) -> Any:
        """The answer's JSON as it came; tries again where waiting may help.

        Raises:
            Thought1Error: the server is not reached, refuses, or answers something else.
        """
        openai, problem = library(), ""
        import httpx2  # openai's own

        for wait in (*self.waits, None):
            try:
                return call(self._client, headers()).http_response.json()
            except openai.APIStatusError as error:
                status, text = error.status_code, error.response.text[:300].strip()
                problem = f"answers {status}: {text}" + f" (set {KEY})" * (status == 401)
                if status != 429 and status < 500:
                    break
            except openai.APITimeoutError:
                problem = f"cannot be reached: no answer within {self.timeout:g} s"
                if not self.after_timeout:
                    break
            except openai.APIConnectionError as error:
                cause = error.__cause__ or error
                if isinstance(cause, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
                    raise self._no_address(cause) from error
                problem = f"cannot be reached ({type(cause).__name__}: {cause})"
            except httpx2.InvalidURL as error:  # before anything is sent
                raise self._no_address(error) from error
            except ValueError as error:
                raise self.strange(str(error)) from error
            if wait is not None:
                time.sleep(wait)
        raise Thought1Error(f"{self.address} {problem}")

    @cached_property
    def _client(self) -> Any:
        """It neither waits nor decodes for us."""
        base = self.address.removesuffix(f"/{self.path}")
        # The client insists on a key; `headers` decides what is sent.
        return library().OpenAI(base_url=base, api_key="none", timeout=self.timeout, max_retries=0)

    def _no_address(self, why: BaseException) -> Thought1Error:
        return Thought1Error(f"{self.url!r} is not the address of a server: {why}")

    def strange(self, why: str) -> Thought1Error:
        """The error where an answer has another form."""
        return Thought1Error(
            f"{self.address} does not answer as an OpenAI-compatible {self.kind} server ({why})"
        )


def headers() -> dict[str, Any]:
    """The key alone: what else the client reads from the environment is no stranger's business."""
    nothing, key = library().omit, os.environ.get(KEY)
    return {
        "Authorization": f"Bearer {key}" if key else nothing,
        "OpenAI-Organization": nothing,
        "OpenAI-Project": nothing,
    }


def library() -> Any:
    """The package `openai`.

    Raises:
        Thought1Error: it is not installed.
    """
    try:
        import openai
    except ImportError as error:
        raise Thought1Error(
            'OpenAI-compatible servers need the package openai: pip install "thought1[eval]"'
        ) from error
    return openai
