"""Who may ask: Host, Origin and tokens, in front of an application that answers 200 to all."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from thought1.serving.address import Address
from thought1.serving.admission import Admission, needs
from thought1.serving.tokens import BearerTokenFile, add_token, remove_token
from thought1.types import Thought1Error


def client(
    names: Sequence[str] = ("localhost", "::1"), tokens: BearerTokenFile | None = None
) -> Any:
    app = Admission(names, tokens).before(PlainTextResponse("in"))
    return TestClient(app, base_url="http://localhost:8000")


def error(answer: Any) -> Mapping[str, str]:
    detail: Mapping[str, str] = answer.json()["error"]
    assert detail.keys() == {"message", "type", "param", "code"}
    return detail


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LOCALHOST:1", "localhost.", "[::1]:8000", "[::1]"]
)
def test_the_servers_own_names_get_in(host: str) -> None:
    assert client().get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "evil.example/localhost",
        "evil.example#localhost",
        "evil@localhost",
        "localhost:port",
        "",
        "127.0.0.1",
    ],
)
def test_other_names_do_not(host: str) -> None:
    """A page that lets its own name point at 127.0.0.1 (DNS rebinding) sends that name."""
    answer = client().get("/v1/models", headers={"Host": host})
    assert answer.status_code == 421
    assert error(answer)["code"] == "unknown_host"


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://localhost:8000", "localhost:8000", 200),
        ("http://localhost", "localhost:80", 200),
        ("https://localhost", "localhost", 200),
        ("http://localhost:3000", "localhost:8000", 403),
        ("https://evil.example", "localhost:8000", 403),
        ("null", "localhost:8000", 403),
        ("", "localhost:8000", 403),
    ],
)
def test_a_page_may_ask_the_server_that_it_came_from(origin: str, host: str, status: int) -> None:
    answer = client().post("/v1/search", headers={"Host": host, "Origin": origin})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/health", None),
        ("GET", "/ready", None),
        ("GET", "/metrics", "read"),
        ("GET", "/openapi.json", "read"),
        ("GET", "/what/is/not/there", "read"),
        ("POST", "/v1/search", "read"),
        ("POST", "/v1/documentsandmore", "read"),
        ("GET", "/v1/documents/a", "read"),
        ("POST", "/v1/documents", "write"),
        ("DELETE", "/v1/documents/a/b", "write"),
        ("PATCH", "/v1/documents", "write"),
    ],
)
def test_what_a_request_needs(method: str, path: str, scope: str | None) -> None:
    assert needs(method, path) == scope


def test_tokens_open_what_their_scope_allows(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens = {scope: add_token(path, scope, scope) for scope in ("read", "write")}
    ask = client(tokens=BearerTokenFile(path))

    def status(method: str, place: str, authorization: str | None) -> int:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = ask.request(method, place, headers=headers)
        if answer.status_code == 401:
            assert answer.headers["www-authenticate"] == "Bearer"
            assert error(answer)["type"] == "authentication_error"
        assert all(token not in answer.text for token in tokens.values())
        return int(answer.status_code)

    reading, writing = (f"Bearer {tokens[scope]}" for scope in ("read", "write"))
    assert status("GET", "/health", None) == 200
    for wrong in (None, "", "Bearer", "Bearer ", "Bearer t1_x", f"Basic {tokens['read']}"):
        assert status("GET", "/v1/models", wrong) == 401
        assert status("POST", "/v1/documents", wrong) == 401
    assert status("GET", "/v1/models", reading) == 200
    assert status("GET", "/v1/models", reading.replace("Bearer", "bearer")) == 200
    assert status("GET", "/v1/models", writing) == 200
    assert status("POST", "/v1/documents", reading) == 403
    assert status("POST", "/v1/documents", writing) == 200
    remove_token(path, "write")
    assert status("POST", "/v1/documents", writing) == 401


def test_the_body_of_a_refused_request_is_not_read() -> None:
    async def receive() -> Any:
        raise AssertionError("the body was read")

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/documents", "headers": []}
    guarded = Admission(["localhost"]).before(PlainTextResponse("in"))
    asyncio.run(guarded(scope, receive, send))
    assert sent[0]["status"] == 421


def test_beyond_loopback_only_with_a_token_or_when_told_so() -> None:
    for host in ("192.168.1.5", "example.org"):
        with pytest.raises(Thought1Error, match="no_token=True"):
            Address(host)
        for address in (Address(host, no_token=True), Address(host, tokens=True)):
            assert address.names == [host]
    with pytest.raises(Thought1Error, match="host names"):
        Address("0.0.0.0", tokens=True)
    assert Address("0.0.0.0", allow_host=["search.example"], tokens=True).names == [
        "search.example"
    ]
    for host in ("127.0.0.1", "::1", "localhost", "127.8.9.1"):
        assert Address(host).loopback
        assert host in Address(host).names


def test_a_port_that_is_taken_is_told() -> None:
    with Address(port=0).bind() as taken:
        port = taken.getsockname()[1]
        assert Address(port=0).url(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(Thought1Error, match="take another port"):
            Address(port=port).bind()
