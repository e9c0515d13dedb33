"""The tools for agents, called by the official client: in memory, over stdio and over HTTP."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from t1_command import NOTES, small_checkpoint

from thought1.index import Index
from thought1.mcp.server import MAX_CHARS, thinking, tools_server
from thought1.serving.tokens import add_token
from thought1.t1 import T1
from thought1.types import Document

LONG = "word " * 9000  # 45,000 characters


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index on disk, with a document that is longer than one answer."""
    place = tmp_path_factory.mktemp("mcp")
    model = T1.from_pretrained(small_checkpoint(place / "checkpoint", seed=3))
    index = Index.create(place / "notes.index", model)
    notes = [Document(i, text, metadata={"year": y, "lang": lang}) for i, text, y, lang in NOTES]
    index.add([*notes, Document("long/one", LONG, "A long one")])
    return place / "notes.index"


@pytest.fixture(scope="module")
def index(folder: Path) -> Index:
    return Index.open(folder, T1.from_pretrained(str(folder.parent / "checkpoint" / "model")))


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    answer = await client.call_tool(tool, arguments)
    assert answer.is_error
    return " ".join(part.text for part in answer.content if part.type == "text")


def in_memory(index: Index, use: Any) -> None:
    async def session() -> None:
        async with Client(tools_server(index, thinking(index.model))) as client:
            await use(client)

    asyncio.run(session())


def test_the_tools_say_what_they_take_and_that_they_only_read(index: Index) -> None:
    async def use(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == {"search", "fetch", "think"}
        for tool in tools.values():
            assert tool.description
            assert tool.annotations is not None and tool.annotations.read_only_hint
            assert tool.output_schema is not None
            for argument in tool.input_schema["properties"].values():
                assert argument.get("description"), (tool.name, argument)
        assert tools["search"].input_schema["required"] == ["query"]
        assert "fetch" in (client.instructions or "")

    in_memory(index, use)


def test_search_answers_as_the_index_does(index: Index) -> None:
    async def use(client: Client) -> None:
        question = "Why do ice cubes crack?"
        found = await call(client, "search", query=question, k=3, mode="dense", think=4)
        expected = index.search(question, 3, mode="dense", think=4)
        assert [row["id"] for row in found["results"]] == [hit.id for hit in expected.hits]
        assert [row["score"] for row in found["results"]] == pytest.approx(
            [hit.score for hit in expected.hits], abs=1e-5
        )
        assert expected.thought is not None
        assert found["thought"]["text"] == expected.thought.text
        assert found["thought"]["tokens"] == 4
        assert {"think", "dense"} <= found["milliseconds"].keys()
        bare = await call(client, "search", query=question, think=0)
        assert bare["thought"] is None
        words = await call(client, "search", query="salt", mode="bm25", chars=4)
        (hit,) = words["results"]
        assert (hit["id"], hit["text"], hit["truncated"]) == ("salt", "Salt", True)
        german = await call(client, "search", query="ice", think=0, where={"lang": "de"})
        assert [(row["id"], row["metadata"]["year"]) for row in german["results"]] == [
            ("brot", 2005)
        ]

    in_memory(index, use)


def test_think_writes_what_the_model_thinks(index: Index) -> None:
    async def use(client: Client) -> None:
        model = index.model
        assert isinstance(model, T1)
        for budget in (5, None):
            thought = await call(client, "think", query="salt on roads", budget=budget)
            (expected,) = model.think(["salt on roads"], budget=budget)
            assert (thought["text"], thought["tokens"]) == (expected.text, len(expected.token_ids))

    in_memory(index, use)


def test_fetch_reads_a_long_document_in_parts(index: Index) -> None:
    async def use(client: Client) -> None:
        text, start = "", 0
        while True:
            part = await call(client, "fetch", id="long/one", start=start)
            assert len(part["text"]) <= MAX_CHARS
            text += part["text"]
            start = part["start"] + len(part["text"])
            if start >= part["total_chars"]:
                break
        # Outer whitespace is no part of what is stored.
        assert text.strip() == LONG.strip()
        assert part["title"] == "A long one"

    in_memory(index, use)


def test_what_is_wrong_is_told_to_the_agent(index: Index) -> None:
    async def use(client: Client) -> None:
        assert "take an id" in await refusal(client, "fetch", id="../../etc/passwd")
        wrong = await refusal(client, "search", query="ice", where={"year": {"about": 1990}})
        assert "known operators" in wrong
        assert "bm25 does not think" in await refusal(
            client, "search", query="ice", mode="bm25", think=4
        )
        for arguments in ({"query": ""}, {"query": "ice", "k": 0}, {"query": "ice", "think": 5000}):
            assert "validation error" in (await refusal(client, "search", **arguments)).lower()
        assert "positions" in await refusal(client, "think", query="ice", budget=1000)

    in_memory(index, use)


def test_calls_at_the_same_time_do_not_disturb_each_other(index: Index) -> None:
    async def use(client: Client) -> None:
        questions = [f"question number {i} about salt" for i in range(6)]
        together = await asyncio.gather(
            *(call(client, "search", query=q, mode="dense", think=6) for q in questions)
        )
        for question, found in zip(questions, together, strict=True):
            expected = index.search(question, mode="dense", think=6)
            assert expected.thought is not None
            assert found["thought"]["text"] == expected.thought.text
            assert [row["id"] for row in found["results"]] == [hit.id for hit in expected.hits]

    in_memory(index, use)


def test_a_model_that_cannot_think_offers_no_think(index: Index) -> None:
    async def session() -> None:
        async with Client(tools_server(index, None)) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert tools == {"search", "fetch"}

    asyncio.run(session())
    assert thinking(object()) is None


# -- transports ----------------------------------------------------------------------------------


COMMAND = ["-m", "thought1.cli", "mcp"]


def test_over_stdio(folder: Path) -> None:
    """The real command: nothing but the protocol may reach its stdout."""
    parameters = StdioServerParameters(
        command=sys.executable, args=[*COMMAND, str(folder)], env=dict(os.environ)
    )

    async def session() -> None:
        async with Client(parameters, read_timeout_seconds=60) as client:
            found = await call(client, "search", query="salt", mode="bm25")
            assert [row["id"] for row in found["results"]] == ["salt"]
            assert (await call(client, "think", query="salt", budget=3))["tokens"] == 3

    asyncio.run(session())


@pytest.fixture(scope="module")
def over_http(folder: Path) -> Iterator[tuple[str, str]]:
    """The address of `t1 mcp --http`, and a token that it accepts."""
    tokens = folder.parent / "tokens.json"
    token = add_token(tokens, "agent", "read")
    arguments = [str(folder), "--http", "--port", "0", "--tokens", str(tokens)]
    with subprocess.Popen(
        [sys.executable, *COMMAND, *arguments], stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        seen = []
        for line in server.stderr:
            seen.append(line)
            if place := re.search(r"http://127\.0\.0\.1:\d+/mcp", line):
                break
        else:
            pytest.fail("".join(seen))
        yield place[0], token
        server.terminate()
        rest = server.stderr.read()
    assert token not in rest


@asynccontextmanager
async def http_session(url: str, headers: dict[str, str]) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield client


def test_over_http(over_http: tuple[str, str]) -> None:
    url, token = over_http

    async def session() -> None:
        async with http_session(url, {"Authorization": f"Bearer {token}"}) as client:
            found = await call(client, "search", query="salt", mode="bm25")
            assert [row["id"] for row in found["results"]] == ["salt"]

    asyncio.run(session())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer t1_wrong"}, 401),
        ({"Authorization": "Basic dDE6dDE="}, 401),
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
    ],
    ids=["no-token", "wrong-token", "other-scheme", "dns-rebinding", "other-origin"],
)
def test_who_may_not_connect(
    over_http: tuple[str, str], headers: dict[str, str], status: int
) -> None:
    url, token = over_http
    own = {"Authorization": f"Bearer {token}"} if {"Host", "Origin"} & headers.keys() else {}
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    answer = httpx2.post(
        url,
        json=request,
        headers={"Accept": "application/json, text/event-stream", **own, **headers},
    )
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_body_beyond_the_limit_is_refused(over_http: tuple[str, str]) -> None:
    url, token = over_http
    request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"x": "y" * 300_000}}
    answer = httpx2.post(
        url,
        json=request,
        headers={
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {token}",
        },
    )
    assert answer.status_code == 413
