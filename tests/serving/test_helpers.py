"""Rerankers and thinkers over HTTP: only those that the server was started with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from chat_server import ChatState, chat_server
from live_server import listening
from t1_command import NOTES

from thought1.cli.serve import _rerankers, _specs, _writers
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import make_shelf
from thought1.t1 import T1
from thought1.types import Document, Thought1Error

QUESTION = "Why do ice cubes crack?"


@pytest.fixture(scope="module")
def chat() -> Iterator[ChatState]:
    with chat_server(lambda _: "[4] > [1]") as state:
        yield state


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Index:
    made = Index.create(tmp_path_factory.mktemp("helpers") / "x", T1.from_pretrained(checkpoint))
    made.add(Document(id_, text) for id_, text, _, _ in NOTES)
    return made


@pytest.fixture(scope="module")
def client(index: Index, chat: ChatState) -> Iterator[httpx.Client]:
    metrics = Metrics()
    shelf = make_shelf(
        {"notes": index},
        lambda one, name: Batcher(one.model, ModelMeter(metrics, name)),  # type: ignore[arg-type]
        _rerankers(["t1", f"chat=openai:{chat.url}#m"]),
        _writers([f"fast=openai:{chat.url}#m"]),
    )
    with listening(create_app(shelf, metrics=metrics)) as url:
        yield httpx.Client(base_url=url, timeout=60)


def search(client: httpx.Client, **body: Any) -> Any:
    asked = {"query": QUESTION, "think": 0, "mode": "dense", **body}
    answer = client.post("/v1/search", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_names_are_told(client: httpx.Client) -> None:
    found = client.get("/v1/indexes").json()
    assert (found["rerankers"], found["thinkers"]) == (["t1", "chat"], ["fast"])


def test_a_reranked_search_is_that_of_the_library(
    client: httpx.Client, index: Index, checkpoint: str
) -> None:
    found = search(client, rerank="t1", rerank_depth=3, rerank_weight=1.0)
    own = index.with_model(T1.from_pretrained(checkpoint))
    own.rerankers = {}
    options = SearchOptions(mode="dense", think=0, rerank="t1", rerank_depth=3, rerank_weight=1)
    (result,), receipt = own.search_many([QUESTION], options)
    hits = found["results"][0]["hits"]
    assert [hit["id"] for hit in hits] == [hit.id for hit in result.hits]
    assert [h["score"] for h in hits] == pytest.approx([h.score for h in result.hits], abs=1e-4)
    assert found["receipt"]["rerank_calls"] == receipt.rerank_calls
    assert found["receipt"]["rerank_tokens"] == receipt.rerank_tokens
    assert "rerank" in found["receipt"]["milliseconds"]


def test_a_reranker_guides_a_search_where_it_can(
    client: httpx.Client,
    index: Index,
    checkpoint: str,
    chat: ChatState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("thought1.search.guided.STARTS", 1)
    monkeypatch.setattr("thought1.search.guided.DEGREE", 1)
    found = search(client, rerank="t1", rerank_depth=3, rerank_guided=True)
    assert found["receipt"]["rerank_calls"] > 3  # a call of the first documents is three
    own = index.with_model(T1.from_pretrained(checkpoint))
    own.rerankers = {}
    options = SearchOptions(mode="dense", think=0, rerank="t1", rerank_depth=3, rerank_guided=True)
    (result,), _ = own.search_many([QUESTION], options)
    assert [hit["id"] for hit in found["results"][0]["hits"]] == [hit.id for hit in result.hits]
    body = {"query": QUESTION, "rerank": "chat", "rerank_guided": True}
    answer = client.post("/v1/search", json=body)
    assert answer.status_code == 400 and "one document at a time" in answer.text
    assert chat.url not in answer.text


def test_a_chat_model_reranks(client: httpx.Client) -> None:
    plain = [hit["id"] for hit in search(client)["results"][0]["hits"]]
    found = search(client, rerank="chat", rerank_weight=1.0)["results"][0]
    assert [hit["id"] for hit in found["hits"]] == [plain[3], *plain[:3]]
    assert found["left_out"] == []


def test_what_fails_is_named_without_its_address(client: httpx.Client, chat: ChatState) -> None:
    before, chat.answer = chat.answer, lambda _: 400
    try:
        found = search(client, rerank="chat")
        thought = search(client, thinker="fast", think=None)
    finally:
        chat.answer = before
    assert found["results"][0]["left_out"] == ["rerank"]
    assert found["receipt"]["left_out"] == 1
    assert found["results"][0]["hits"] == search(client)["results"][0]["hits"]
    assert thought["results"][0]["left_out"] == ["think"]
    assert chat.url not in str(found) + str(thought)


def test_a_thinker_writes_the_thought(client: httpx.Client, chat: ChatState) -> None:
    before, chat.answer = chat.answer, lambda _: "salt and water"
    try:
        found = search(client, thinker="fast", think=5)
        streamed = client.post(
            "/v1/search", json={"query": QUESTION, "thinker": "fast", "stream": True}
        )
    finally:
        chat.answer = before
    given = search(client, thoughts=["salt and water"], think=None)
    assert found["results"] == given["results"]
    assert found["results"][0]["thoughts"][0]["text"] == "salt and water"
    assert "salt and water" in streamed.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"rerank": "openai:http://127.0.0.1:1#m"}, 404, "rerank_not_found"),
        ({"rerank": "cross-encoder:/etc"}, 404, "rerank_not_found"),
        ({"thinker": "openai:http://127.0.0.1:1#m"}, 404, "thinker_not_found"),
        ({"thinker": "file:/etc/passwd"}, 404, "thinker_not_found"),
        ({"rerank": "t1", "rerank_depth": 101}, 400, "limit_exceeded"),
        ({"rerank": "t1", "rerank_depth": 0}, 422, None),
        ({"rerank": "t1", "rerank_weight": 2}, 422, None),
        ({"rerank": "t1", "checkpoints": [0, 2], "think": 2}, 400, None),
        ({"thinker": "fast", "thoughts": ["x"]}, 400, None),
        ({"thinker": "fast", "samples": 2}, 400, None),
        ({"thinker": "fast", "mode": "bm25"}, 400, None),
    ],
)
def test_what_is_refused(
    client: httpx.Client, chat: ChatState, body: dict[str, Any], status: int, code: str | None
) -> None:
    asked = len(chat.requests)
    answer = client.post("/v1/search", json={"query": QUESTION, **body})
    assert answer.status_code == status, answer.text
    assert code is None or answer.json()["error"]["code"] == code
    assert len(chat.requests) == asked


def test_names_on_the_command_line() -> None:
    assert _specs("reranker", ["t1", "a=openai:http://h/?x=1#m", "openai:http://h/?x=1#m"]) == [
        ("t1", "t1"),
        ("a", "openai:http://h/?x=1#m"),
        ("openai", "openai:http://h/?x=1#m"),
    ]
    with pytest.raises(Thought1Error, match="two rerankers are named 't1'"):
        _specs("reranker", ["t1", "t1=t1:t1-nano"])


def test_a_reranker_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="there is no reranker named"):
        _rerankers(["nothing:x"])
    with pytest.raises(Thought1Error, match="name server and model"):
        _writers(["openai:http://h"])
