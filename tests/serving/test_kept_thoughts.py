"""`t1 serve --thought-cache`: a question that was thought about once is not thought about again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_server import listening, notes_app

from thought1.files.bounded import BoundedFile
from thought1.t1 import T1

QUESTION = "Why do ice cubes crack?"


@pytest.fixture
def client(tmp_path: Path, checkpoint: str) -> Iterator[httpx.Client]:
    kept = BoundedFile(tmp_path / "thoughts.sqlite", 10**6)
    app = notes_app(tmp_path / "notes", T1.from_pretrained(checkpoint), kept)
    with listening(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def post(client: httpx.Client, path: str, **body: Any) -> Any:
    answer = client.post(path, json={"query": QUESTION, "think": 6, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def cached(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(li.split()[-1]) for li in lines if li.startswith("t1_cached_thoughts_total{"))


def test_the_second_search_writes_nothing(client: httpx.Client) -> None:
    first, second = post(client, "/v1/search"), post(client, "/v1/search")
    assert second["results"] == first["results"]
    assert (first["receipt"]["cached"], first["receipt"]["thought_tokens"]) == (0, 6)
    assert (second["receipt"]["cached"], second["receipt"]["thought_tokens"]) == (1, 0)
    assert cached(client) == 1
    other = post(client, "/v1/search", think=5)
    assert other["receipt"]["cached"] == 0


def test_a_stream_shows_the_kept_thought_as_a_whole(client: httpx.Client) -> None:
    written = post(client, "/v1/search")["results"][0]["thoughts"][0]["text"]
    for path in ("/v1/search", "/v1/think"):
        body = {"query": QUESTION, "think": 6, "stream": True}
        lines = client.post(path, json=body).text.splitlines()
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
        events = [json.loads(one) for one in data]
        kinds = [event["type"] for event in events]
        assert "thought" not in kinds and kinds.count("thought_end") == 1
        assert events[kinds.index("thought_end")]["text"] == written


def test_thinking_alone_shares_them_but_not_with_another_task(client: httpx.Client) -> None:
    written = post(client, "/v1/think", samples=2)
    again = post(client, "/v1/think", samples=2)
    assert again["results"] == written["results"] and again["receipt"]["cached"] == 2
    other = post(client, "/v1/think", samples=2, task="find a recipe:")
    assert other["receipt"]["cached"] == 0


def test_without_the_setting_nothing_is_kept(tmp_path: Path, checkpoint: str) -> None:
    app = notes_app(tmp_path / "notes", T1.from_pretrained(checkpoint))
    with listening(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert [post(client, "/v1/search")["receipt"]["cached"] for _ in range(2)] == [0, 0]


def test_a_stream_with_several_questions_numbers_its_events_rightly(client: httpx.Client) -> None:
    post(client, "/v1/search")
    body = {"query": [QUESTION, "Why does bread rise?"], "think": 6, "stream": True}
    lines = client.post("/v1/search", json=body).text.splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    ended = [event["query"] for event in events if event["type"] == "thought_end"]
    assert sorted(ended) == [0, 1]
    assert {event["query"] for event in events if event["type"] == "thought"} == {0, 1}
