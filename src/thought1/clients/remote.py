"""Searches of an index that `t1 serve` serves, over HTTP. It knows no framework."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx2

from thought1.clients.options import as_json
from thought1.search.options import SearchOptions
from thought1.serving.answers import ReceiptOut, ResultOut, SearchResponse
from thought1.types import Thought1Error

TIMEOUT = 130.0
"""Seconds for one answer: a server gives up earlier, after 120 by default, and says so."""


@dataclass
class RemoteIndex:
    """An index of a server. Connections are kept, and shared by threads.

    Raises:
        Thought1Error: the token has characters that no header can carry.
    """

    url: str
    """Such as http://127.0.0.1:8000; a final /v1 is accepted."""
    name: str | None = None
    """One of GET /v1/indexes; may be left out where there is one only."""
    token: str | None = field(default=None, repr=False)
    """A bearer token, where the server asks for one."""
    timeout: float = TIMEOUT
    """Seconds for one answer."""

    def __post_init__(self) -> None:
        if self.token is not None and not (self.token.isascii() and self.token.isprintable()):
            raise Thought1Error(
                "the token has a line break or another character that no header can carry"
            )

    @property
    def address(self) -> str:
        """Where searches are sent."""
        return f"{self.url.rstrip('/').removesuffix('/v1')}/v1/search"

    def search(self, query: str, options: SearchOptions) -> tuple[ResultOut, ReceiptOut]:
        """The answer to one question, and what it cost.

        Raises:
            Thought1Error: the server is not reached, takes too long, refuses, or is no `t1 serve`.
        """
        name = {} if self.name is None else {"index": self.name}
        response = self._post({"query": query, **name, **as_json(options)})
        if response.status_code != 200:
            raise Thought1Error(f"{self.address} answers {response.status_code}: {_why(response)}")
        try:
            answer = SearchResponse.model_validate_json(response.content)
            (result,) = answer.results
        except ValueError as error:
            raise Thought1Error(f"{self.address} does not answer as `t1 serve` does") from error
        return result, answer.receipt

    def _post(self, body: dict[str, Any]) -> httpx2.Response:
        try:
            return self._client.post(self.address, json=body)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise Thought1Error(f"{self.url!r} is not the address of a server: {error}") from error
        except httpx2.TimeoutException as error:
            raise Thought1Error(
                f"{self.address} gives no answer within {self.timeout:g} s"
            ) from error
        except httpx2.HTTPError as error:
            raise Thought1Error(
                f"{self.address} cannot be reached ({type(error).__name__}: {error})"
            ) from error
        except (
            ValueError
        ) as error:  # half a character in a question, an infinite number in a filter
            raise Thought1Error(f"the search cannot be written as JSON: {error}") from error

    @cached_property
    def _client(self) -> httpx2.Client:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return httpx2.Client(headers=headers, timeout=self.timeout)


def _why(response: httpx2.Response) -> str:
    """The message of an error, whoever wrote it."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return response.text[:300].strip() or response.reason_phrase
