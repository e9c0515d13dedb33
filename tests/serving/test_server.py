"""The server over a real socket: search, thoughts, documents, limits, and who may do what."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from live_server import listening
from t1_command import NOTES

from thought1.cli.result_json import explanation_data
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.serving.admission import Admission
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.bodies import SearchRequest
from thought1.serving.jobs import Ticket
from thought1.serving.limits import Limits
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import Shelf, make_shelf, shown_name
from thought1.serving.streaming import TextStream
from thought1.serving.tokens import BearerTokenFile, add_token
from thought1.t1 import T1
from thought1.types import Document, Thought

QUESTION = "Why do ice cubes crack?"


@dataclass
class Served:
    url: str
    shelf: Shelf
    client: httpx.Client

    @property
    def batcher(self) -> Batcher:
        (model,) = self.shelf.models.values()
        return model.batcher

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(path, json=body)

    def good(self, path: str, **body: Any) -> Any:
        answer = self.post(path, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def events(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """The data of a stream's events, whose names must be their types."""
        answer = self.post(path, stream=True, **body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        *blocks, done, rest = answer.text.split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        found = []
        for block in blocks:
            name, data = block.split("\n")
            found.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {found[-1].get('type', 'error')}"
        return found


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of an answer, which has the one shape."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["code"] == code
    assert answer.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    return error


Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Iterator[Serve]:
    """Starts servers, which end with the module."""
    with ExitStack() as stack:

        def start(*names: str, limits: Limits | None = None, tokens: Path | None = None) -> Served:
            folder, loaded = tmp_path_factory.mktemp("served"), T1.from_pretrained(checkpoint)
            indexes = {name: Index.create(folder / name, loaded) for name in names or ("notes",)}
            for index in indexes.values():
                index.add(
                    Document(i, text, metadata={"year": year, "lang": lang})
                    for i, text, year, lang in NOTES
                )
            metrics = Metrics()
            shelf = make_shelf(
                indexes, lambda _index, name: Batcher(loaded, ModelMeter(metrics, name))
            )
            admission = Admission(["127.0.0.1"], BearerTokenFile(tokens) if tokens else None)
            app = create_app(shelf, metrics=metrics, limits=limits, admission=admission)
            url = stack.enter_context(listening(app))
            client = stack.enter_context(httpx.Client(base_url=url, timeout=30))
            return Served(url, shelf, client)

        yield start


@pytest.fixture(scope="module")
def served(serve: Serve) -> Served:
    return serve()


# -- search and thoughts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"k": 3},
        {"mode": "dense", "think": 0, "offset": 1},
        {"mode": "bm25", "where": {"lang": "en"}},
        {"think": 5, "fusion": {"dense_weight": 2.0}, "where": {"year": {"gte": 2000}}},
        {"mode": "dense", "samples": 3, "think": 4, "combine": "like-bare"},
        {"mode": "dense", "samples": 2, "think": 4, "min_confidence": 0.999},
        {"think": 3, "fusion": {"by": "ranks", "rank_constant": 30}},
        {"mode": "dense", "think": 6, "checkpoints": [0, 2, 6]},
        {"mode": "dense", "adaptive": {"checkpoints": [0, 2, 4], "cosine": 0.5}},
        {"adaptive": {"checkpoints": [0, 4], "gate": {"signal": "score", "below": 0.9}}},
        {"mode": "dense", "think": 6, "sampling": {"temperature": 1.0, "seed": 3}},
    ],
)
def test_a_search_is_the_librarys(served: Served, model: T1, options: dict[str, Any]) -> None:
    index = next(iter(served.shelf.indexes.values())).index.with_model(model)
    body = SearchRequest(query=[QUESTION, "salt on roads"], **options)
    usual = model.greedy if body.samples == 1 else model.sampled
    expected, receipt = index.search_many(body.queries, body.options(usual))
    found = served.good("/v1/search", query=body.queries, **options)
    assert (found["index"], found["model"]) == ("notes", "model")
    for result, wanted in zip(found["results"], expected, strict=True):
        assert result["query"] == wanted.query
        assert [t["text"] for t in result["thoughts"]] == [t.text for t in wanted.thoughts]
        assert [hit["id"] for hit in result["hits"]] == [hit.id for hit in wanted.hits]
        assert result["fell_back"] == wanted.fell_back
        assert [stage["budget"] for stage in result["stages"]] == [s.budget for s in wanted.stages]
        assert result["confidence"] == pytest.approx(wanted.confidence, abs=1e-5)
        scores = [hit["score"] for hit in result["hits"]]
        np.testing.assert_allclose(scores, [hit.score for hit in wanted.hits], atol=1e-4)
    assert found["receipt"]["thought_tokens"] == receipt.thought_tokens
    assert found["receipt"]["prompt_tokens"] == receipt.prompt_tokens
    assert found["receipt"]["milliseconds"].keys() == receipt.milliseconds.keys()


def test_every_option_of_a_search_can_be_asked_for() -> None:
    """A new option of the library becomes a field here too."""
    assert {field.name for field in fields(SearchOptions)} <= SearchRequest.model_fields.keys()


def test_a_stream_tells_the_same(served: Served) -> None:
    how = {"query": [QUESTION, "salt"], "mode": "dense", "samples": 2, "think": 5}
    whole, events = served.good("/v1/search", **how), served.events("/v1/search", **how)
    kinds = [event["type"] for event in events]
    assert kinds[-3:] == ["hits", "hits", "receipt"]
    assert kinds.count("thought_end") == 4
    for number, result in enumerate(whole["results"]):
        hits = events[-3 + number]
        assert {key: hits[key] for key in result} == result
        for sample, thought in enumerate(result["thoughts"]):
            own = [e for e in events[:-3] if (e["query"], e["sample"]) == (number, sample)]
            assert own[-1]["type"] == "thought_end"
            assert len(own) - 1 == thought["tokens"]
            assert {key: own[-1][key] for key in thought} == thought
    assert events[-1]["thought_tokens"] == whole["receipt"]["thought_tokens"]


def test_the_first_token_comes_before_the_last_is_written(served: Served) -> None:
    body = {"query": QUESTION, "think": 60, "stream": True}
    with served.client.stream("POST", "/v1/think", json=body) as answer:
        assert next(answer.iter_lines()) == "event: thought"
        assert served.batcher._thoughts.rows


def test_edited_thoughts_are_searched_with(served: Served, model: T1) -> None:
    found = served.good(
        "/v1/search", query=QUESTION, mode="dense", thoughts=["Water expands when it freezes."]
    )
    vector = model.encode_query([QUESTION], thoughts=["Water expands when it freezes."])
    index = next(iter(served.shelf.indexes.values())).index
    given = Thought("", (), "edited", vector[0])
    expected = index.with_model(model).search(QUESTION, mode="dense", thoughts=[given])
    (result,) = found["results"]
    assert [hit["id"] for hit in result["hits"]] == [hit.id for hit in expected.hits]
    scores = [hit["score"] for hit in result["hits"]]
    np.testing.assert_allclose(scores, [hit.score for hit in expected.hits], atol=1e-5)
    (thought,) = result["thoughts"]
    assert (thought["text"], thought["finish_reason"]) == (
        "Water expands when it freezes.",
        "edited",
    )
    assert found["receipt"]["thought_tokens"] == 0
    read = len(model.renderer.text(["Water expands when it freezes."])[0])
    assert found["receipt"]["prompt_tokens"] == model.count_prompt_tokens([QUESTION]) + read


def test_thinking_alone(served: Served, model: T1) -> None:
    found = served.good("/v1/think", query=[QUESTION, "salt"], think=5, task="Find it.")
    expected = model.think(
        [QUESTION, "salt"], budget=5, sampling=model.greedy, instruction="Find it."
    )
    texts = [[t["text"] for t in result["thoughts"]] for result in found["results"]]
    assert texts == [[thought.text] for thought in expected]
    events = served.events("/v1/think", query=QUESTION, think=5)
    assert [event["type"] for event in events[-2:]] == ["thought_end", "receipt"]
    assert served.good("/v1/think", query=QUESTION, think=0)["results"][0]["thoughts"] == []


def test_a_text_comes_in_whole_characters() -> None:
    parts = {1: b"K", 2: "ä".encode()[:1], 3: "ä".encode()[1:], 4: b"se"}

    def decode(ids: Any) -> str:
        return b"".join(parts[i] for i in ids).decode(errors="replace")

    stream = TextStream(decode)
    assert [stream.push(token) for token in (1, 2, 3, 4)] == ["K", "", "ä", "se"]


# -- documents -----------------------------------------------------------------------------------


def test_documents_come_and_go(served: Served) -> None:
    new = [
        {"id": "guide/ice.md#2", "text": "Glaciers carve valleys.", "title": "Ice"},
        {"id": "moss", "text": "Moss grows on the north side.", "metadata": {"year": 1999}},
    ]
    report = served.good("/v1/documents", documents=new)
    assert [report[k] for k in ("added", "replaced", "unchanged", "documents")] == [2, 0, 0, 6]
    found = served.good("/v1/search", query="glaciers carve valleys", mode="bm25")
    assert found["results"][0]["hits"][0]["id"] == "guide/ice.md#2"
    shown = served.client.get("/v1/documents/guide%2Fice.md%232").json()
    assert (shown["title"], shown["text"]) == ("Ice", "Glaciers carve valleys.")
    new[1]["text"] = "Moss grows everywhere."
    report = served.good("/v1/documents", documents=new)
    assert [report[k] for k in ("added", "replaced", "unchanged")] == [0, 1, 1]
    for deleted in (1, 0):  # again is no error
        answer = served.client.delete("/v1/documents/guide%2Fice.md%232")
        assert (answer.status_code, answer.json()["deleted"]) == (200, deleted)
    answer = served.client.delete("/v1/documents", params={"id": ["moss", "never"]})
    assert answer.json() == {"index": "notes", "deleted": 1, "documents": 4}
    refused(served.client.get("/v1/documents/moss"), 404, "document_not_found")


def test_several_indexes_share_a_model(serve: Serve) -> None:
    several = serve("notes", "papers")
    names = [one["name"] for one in several.client.get("/v1/indexes").json()["indexes"]]
    assert names == ["notes", "papers"]
    assert len(several.client.get("/v1/models").json()["data"]) == 1
    assert several.good("/v1/search", query="ice", index="papers")["index"] == "papers"
    several.good("/v1/documents", index="papers", documents=[{"id": "only", "text": "here"}])
    assert several.client.get("/v1/documents/only?index=papers").status_code == 200
    refused(several.client.get("/v1/documents/only?index=notes"), 404, "document_not_found")
    error = refused(several.post("/v1/search", query="ice"), 400, "index_missing")
    assert "notes, papers" in error["message"]
    for path in ("../notes", "/etc/passwd"):
        refused(several.post("/v1/search", query="ice", index=path), 404, "index_not_found")


def test_names_tell_no_folders(tmp_path: Path) -> None:
    (tmp_path / "secret-home" / "model").mkdir(parents=True)
    assert shown_name(str(tmp_path / "secret-home" / "model")) == "model"
    assert shown_name("owner/name") == "owner/name"
    assert shown_name("package:llm/weights.gguf") == "package:llm/weights.gguf"
    assert shown_name(f"st:{tmp_path / 'secret-home' / 'model'}") == "st:model"


# -- limits --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(serve: Serve) -> Served:
    limits = Limits(
        body=2000, texts=2, documents=2, characters=50, k=20, offset=5, think=9, samples=2,
        evidence=1, conditions=3, requests=2, writes=1,
    )  # fmt: skip
    return serve(limits=limits)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("search", {"query": ["a"] * 3}, "query"),
        ("search", {"query": "a" * 51}, "query"),
        ("search", {"query": "a", "k": 21}, "k"),
        ("search", {"query": "a", "offset": 6}, "offset"),
        ("search", {"query": "a", "think": 10}, "think"),
        ("search", {"query": "a", "samples": 3}, "samples"),
        ("search", {"query": "a", "evidence": 2}, "evidence"),
        ("search", {"query": "a", "evidence": 1, "rounds": 6}, "rounds"),
        ("search", {"query": "a", "where": {"b": {"in": [1, 2, 3]}, "c": 4}}, "where"),
        ("search", {"query": "a", "checkpoints": [1, 10]}, "checkpoints"),
        ("search", {"query": "a", "adaptive": {"cosine": 0.9}}, "adaptive.checkpoints"),
        ("search", {"query": "a", "thoughts": ["a" * 51]}, "thoughts"),
        ("think", {"query": "a", "think": 10}, "think"),
        ("embeddings", {"input": ["a"] * 3}, "input"),
        ("embeddings", {"input": "a", "input_type": "query", "think": 10}, "think"),
        ("rerank", {"query": "a", "documents": ["a"] * 3}, "documents"),
        ("rerank", {"query": "a" * 51, "documents": ["a"]}, "query"),
        ("documents", {"documents": [{"id": str(i), "text": "a"} for i in range(3)]}, "documents"),
        ("documents", {"documents": [{"id": "a", "text": "a", "title": "a" * 51}]}, "documents"),
    ],
)
def test_what_goes_beyond_a_limit_is_refused(
    narrow: Served, path: str, body: dict[str, Any], param: str
) -> None:
    assert refused(narrow.post(f"/v1/{path}", **body), 400, "limit_exceeded")["param"] == param


@pytest.mark.parametrize("told", [True, False])
def test_a_body_is_not_read_beyond_its_limit(narrow: Served, told: bool) -> None:
    content = json.dumps({"query": "a" * 3000}).encode()
    body: Any = content if told else (content[i : i + 500] for i in range(0, len(content), 500))
    answer = narrow.client.post(
        "/v1/search", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413
    assert "2000 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("search", rb'{"query": "\ud800"}', "query"),
        ("search", rb'{"query": "a", "where": {"x": {"in": ["\ud800"]}}}', "where"),
        ("documents", rb'{"documents": [{"id": "x", "text": "\ud800"}]}', "documents.0.text"),
        (
            "documents",
            rb'{"documents": [{"id": "x", "text": "", "metadata": {"\ud800": 1}}]}',
            None,
        ),
        ("search", rb'{"query": "a", "k": "10"}', "k"),
        ("search", rb'{"query": "a", "sampling": {"temperature": NaN}}', "sampling.temperature"),
        ("embeddings", rb'{"input": [1, 2]}', "input"),
    ],
)
def test_what_is_no_text_or_number_is_refused(
    served: Served, path: str, body: bytes, param: str | None
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = served.client.post(f"/v1/{path}", content=body, headers=headers)
    found = refused(answer, 422, "invalid_request")["param"]
    assert found.startswith(param or "documents.0.metadata")


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("search", {"query": "a", "mode": "bm25", "think": 3}, "does not think"),
        ("search", {"query": "a", "mode": "dense", "fusion": {}}, "hybrid"),
        ("search", {"query": "a", "thoughts": ["a", "b"]}, "1 questions but 2 thoughts"),
        ("search", {"query": "a", "thoughts": ["a"], "think": 3}, "leave think"),
        ("search", {"query": "a", "sampling": {"seed": 3}}, "temperature above 0"),
        ("search", {"query": "a", "where": {"no": "such"}}, "no document has"),
        ("embeddings", {"input": "a", "task": "Find."}, "input_type"),
        ("embeddings", {"input": "a", "dimensions": 7}, "32 dimensions"),
    ],
)
def test_contradictions_say_what_to_do(
    served: Served, path: str, body: dict[str, Any], message: str
) -> None:
    assert message in refused(served.post(f"/v1/{path}", **body), 400, "invalid_value")["message"]


def test_other_errors_have_the_same_shape(served: Served) -> None:
    refused(served.client.get("/nowhere"), 404, "not_found")
    refused(served.client.get("/v1/search"), 405, "method_not_allowed")
    headers = {"Content-Type": "application/json"}
    refused(served.client.post("/v1/search", content=b"{", headers=headers), 422, "invalid_json")
    answer = served.post("/v1/search", query="a", top="secret-value")
    assert refused(answer, 422, "invalid_request")["param"] == "top"
    assert "secret-value" not in answer.text
    plain = {"Content-Type": "text/plain"}  # what a foreign page may send without being asked
    answer = served.client.post("/v1/documents", content=b'{"documents":[]}', headers=plain)
    assert answer.status_code == 422


# -- many at a time ------------------------------------------------------------------------------


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.02)


@contextmanager
def standing(served: Served) -> Iterator[None]:
    """The model's thread does nothing inside."""
    stands, go_on = threading.Event(), threading.Event()

    def stand() -> None:
        stands.set()
        go_on.wait(60)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(served.batcher.call, stand, Ticket())
        assert stands.wait(60)
        try:
            yield
        finally:
            go_on.set()


def test_a_full_server_says_when_to_come_again(narrow: Served) -> None:
    def inside() -> float:
        metrics = narrow.client.get("/metrics").text
        return _value(metrics, 't1_requests_in_flight{kind="model"}')

    with ThreadPoolExecutor(2) as pool:
        with standing(narrow):
            waiting = [pool.submit(narrow.post, "/v1/think", query=query) for query in "ab"]
            until(lambda: inside() == 2)
            answer = narrow.post("/v1/think", query="c")
            refused(answer, 429, "queue_full")
            assert int(answer.headers["retry-after"]) >= 1
            assert narrow.client.get("/health").status_code == 200
            assert narrow.client.get("/ready").status_code == 200
        assert [future.result(60).status_code for future in waiting] == [200, 200]
    until(lambda: inside() == 0)
    assert narrow.post("/v1/think", query="d").status_code == 200


def test_what_takes_too_long_is_given_up(serve: Serve) -> None:
    hasty = serve(limits=Limits(seconds=0.2))
    with standing(hasty):
        refused(hasty.post("/v1/think", query="a"), 504, "timeout")
        refused(hasty.post("/v1/think", query="a", stream=True), 504, "timeout")
        assert len(hasty.batcher._inbox) == 2
    until(lambda: not (hasty.batcher._inbox or hasty.batcher._thoughts))
    assert _value(hasty.client.get("/metrics").text) == 0


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_its_thoughts(served: Served, stream: bool) -> None:
    steps = served.client.get("/metrics").text
    body = {"query": [QUESTION] * 20, "think": 900, "stream": stream}
    try:
        with (
            httpx.Client(base_url=served.url, timeout=30 if stream else 0.5) as client,
            client.stream("POST", "/v1/think", json=body) as answer,
        ):
            if stream:
                next(answer.iter_lines())
    except httpx.ReadTimeout:
        assert not stream
    until(lambda: not served.batcher._thoughts)
    written = _value(served.client.get("/metrics").text) - _value(steps)
    assert written < 20 * 900


def _value(metrics: str, name: str = "t1_thought_tokens_total") -> float:
    lines = [line for line in metrics.splitlines() if line.startswith(name)]
    return float(lines[0].split()[-1]) if lines else 0.0


def test_a_request_keeps_its_id(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "thought1.serving")
    get = served.client.get
    assert get("/health", headers={"X-Request-ID": "trace/7-a"}).headers["x-request-id"] == (
        "trace/7-a"
    )
    ids = {get("/health").headers["x-request-id"] for _ in range(3)}
    for forged in ("a b", "x" * 129, "", "a\tb"):
        ids.add(get("/health", headers={"X-Request-ID": forged}).headers["x-request-id"])
    assert len(ids) == 7
    assert all(len(one) == 32 for one in ids)


def test_errors_and_steps_are_counted_by_kind(served: Served) -> None:
    def count(name: str) -> float:
        return _value(served.client.get("/metrics").text, name)

    kinds = {
        code: f't1_errors_total{{code="{code}"}}'
        for code in ("invalid_request", "unknown_host", "not_found", "limit_exceeded")
    }
    before = {code: count(name) for code, name in kinds.items()}
    steps = 't1_search_step_seconds_count{step="%s"}'
    thinking, first = count(steps % "think"), count("t1_first_token_seconds_count")
    served.post("/v1/search", query=3)
    served.client.get("/health", headers={"Host": "evil.example"})
    served.client.get("/nowhere")
    served.post("/v1/search", query="a", k=5000)
    assert {code: count(name) for code, name in kinds.items()} == {
        code: number + 1 for code, number in before.items()
    }
    served.good("/v1/search", query="ice", think=3)
    served.events("/v1/search", query="ice", think=3)
    assert count(steps % "think") == thinking + 2
    assert count("t1_first_token_seconds_count") == first + 1


def test_metrics_count(served: Served) -> None:
    before = served.client.get("/metrics").text
    thought = served.good("/v1/think", query=QUESTION, think=5)["results"][0]["thoughts"][0]
    after = served.client.get("/metrics").text
    assert _value(after) - _value(before) == thought["tokens"]
    assert 't1_requests_total{route="/v1/think",status="200"}' in after
    assert "t1_batch_rows_bucket" in after and "t1_step_seconds_bucket" in after


def test_readiness_tells_what_is_missing(serve: Serve) -> None:
    ending = serve()
    assert ending.client.get("/ready").json() == {"status": "ok", "problems": []}
    ending.batcher.close()
    assert "takes no work" in refused(ending.client.get("/ready"), 503, "not_ready")["message"]
    refused(ending.post("/v1/think", query="a"), 503, "shutting_down")
    assert ending.client.get("/health").status_code == 200


# -- who may -------------------------------------------------------------------------------------


def test_tokens_read_or_write(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tokens.json"
    read, write = add_token(file, "r", "read"), add_token(file, "w", "write")
    guarded = serve(tokens=file)
    document = {"documents": [{"id": "x", "text": "y"}]}
    caplog.set_level(logging.DEBUG)

    def status(method: str, path: str, token: str, body: Any = None) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return guarded.client.request(method, path, headers=headers, json=body).status_code

    assert guarded.client.get("/ready").status_code == 200
    refused(guarded.post("/v1/search", query="a"), 401, "invalid_token")
    refused(guarded.client.get("/metrics"), 401, "invalid_token")
    refused(guarded.client.get("/openapi.json"), 401, "invalid_token")
    assert status("POST", "/v1/search", read, {"query": "a"}) == 200
    assert status("POST", "/v1/documents", read, document) == 403
    assert status("DELETE", "/v1/documents/x", read) == 403
    assert status("POST", "/v1/documents", write, document) == 200
    assert status("DELETE", "/v1/documents/x", write) == 200
    assert status("GET", "/v1/models", write + "x") == 401
    for secret in (read, write):
        assert secret not in caplog.text


def test_foreign_hosts_and_pages_are_refused(served: Served) -> None:
    get = served.client.get
    refused(get("/health", headers={"Host": "evil.example"}), 421, "unknown_host")
    answer = get("/v1/models", headers={"Origin": "https://evil.example"})
    refused(answer, 403, "foreign_origin")
    own = get("/v1/models", headers={"Origin": served.url})
    assert own.status_code == 200
    assert not [name for name in own.headers if name.startswith("access-control")]


def test_hits_are_explained_over_http(served: Served) -> None:
    how = {"query": QUESTION, "mode": "dense", "thoughts": ["warm; cold"], "explain": True}
    found = served.good("/v1/search", **how)
    asked = SearchOptions(mode="dense", explain=True)
    (result,), _ = served.shelf.index(None).index.search_many([QUESTION], asked, ["warm; cold"])
    for hit, expected in zip(found["results"][0]["hits"], result.hits, strict=True):
        wanted = explanation_data(expected)["explanation"]
        assert [part["text"] for part in hit["explanation"]["parts"]] == ["warm", "cold"]
        effects = [part["effect"] for part in hit["explanation"]["parts"]]
        assert effects == pytest.approx([part["effect"] for part in wanted["parts"]], abs=1e-5)
        assert hit["explanation"]["words"] == wanted["words"]
        assert hit["explanation"]["highlight"]["end"] == wanted["highlight"]["end"]
    assert found["receipt"]["prompt_tokens"] > 0
    assert served.good("/v1/search", query=QUESTION)["results"][0]["hits"][0]["explanation"] is None


@pytest.mark.parametrize("path", ["/v1/search", "/v1/think"])
def test_half_a_surrogate_pair_is_refused(served: Served, path: str) -> None:
    body = b'{"query": "ice \\ud800"}'
    answer = served.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert "error" in answer.json()
