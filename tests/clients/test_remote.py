"""What goes wrong between a retriever and its server is one error that says what."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from live_server import listening
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from thought1.clients.remote import RemoteIndex
from thought1.search.options import SearchOptions
from thought1.types import Thought1Error

SECRET = "t1_not-to-be-shown"


def failure(index: RemoteIndex, query: str = "ice", **options: Any) -> str:
    with pytest.raises(Thought1Error) as caught:
        index.search(query, SearchOptions(**options))
    assert SECRET not in f"{caught.value} {index!r}"
    return str(caught.value)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_an_address_may_end_as_it_likes(served: Any, end: str) -> None:
    result, _ = RemoteIndex(served.url + end, "notes", served.token).search(
        "salt", SearchOptions(k=1, mode="bm25")
    )
    assert [hit.id for hit in result.hits] == ["salt"]


def test_a_refusal_says_what_the_server_says(served: Any) -> None:
    url, token = served.url, served.token
    assert "/v1/search answers 401: " in failure(RemoteIndex(url, "notes", SECRET))
    assert "answers 401" in failure(RemoteIndex(url, "notes"))
    assert "answers 404: " in failure(RemoteIndex(url, "no-such", token))
    assert "answers 4" in failure(RemoteIndex(url, None, token))  # there are two indexes
    good = RemoteIndex(url, "notes", token)
    assert "known operators" in failure(good, where={"year": {"about": 1}})
    assert "k is at most" in failure(good, k=5000)
    assert "cannot be written as JSON" in failure(good, "\ud800")
    assert "finite number" in failure(good, where={"year": float("inf")})


def test_a_server_that_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        slow = failure(RemoteIndex(f"http://127.0.0.1:{port}", timeout=0.2))
        assert slow == f"http://127.0.0.1:{port}/v1/search gives no answer within 0.2 s"
    gone = failure(RemoteIndex(f"http://127.0.0.1:{port}", token=SECRET))
    assert f"http://127.0.0.1:{port}/v1/search cannot be reached (ConnectError" in gone
    for url in ("notes.index", "ftp://127.0.0.1/x", "http://127.0.0.1:port"):
        assert f"'{url}' is not the address of a server" in failure(RemoteIndex(url))


@contextmanager
def strange(answer: Response) -> Iterator[str]:
    """A server that is no `t1 serve`."""

    async def search(request: Request) -> Response:
        return answer

    with listening(Starlette(routes=[Route("/v1/search", search, methods=["POST"])])) as url:
        yield url


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (PlainTextResponse("hello"), "does not answer as `t1 serve` does"),
        (PlainTextResponse('{"results": []}'), "does not answer as `t1 serve` does"),
        (PlainTextResponse("<h1>bad gateway", 502), "answers 502: <h1>bad gateway"),
        (PlainTextResponse("", 503), "answers 503: Service Unavailable"),
        # A token is not sent on to wherever an answer points.
        (RedirectResponse("/elsewhere", 307), "answers 307: Temporary Redirect"),
    ],
)
def test_another_server(answer: Response, message: str) -> None:
    with strange(answer) as url:
        assert failure(RemoteIndex(url, token=SECRET)).endswith(message)


@pytest.mark.parametrize("token", [f"{SECRET}\n", f"{SECRET}é", f"a\r\nX: {SECRET}"])
def test_a_token_that_no_header_can_carry(token: str) -> None:
    with pytest.raises(Thought1Error, match="no header can carry") as caught:
        RemoteIndex("http://127.0.0.1:1", token=token)
    assert SECRET not in str(caught.value)
