"""What a hostile client or page may try, over a real socket (docs/threat-model.md)."""

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_server import serving_notes

from thought1.serving.admission import Admission
from thought1.serving.logs import json_formatter
from thought1.serving.tokens import BearerTokenFile, add_token
from thought1.t1 import T1

ROOT = Path(__file__).parents[2]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, model: T1) -> Iterator[httpx.Client]:
    with serving_notes(tmp_path_factory.mktemp("security") / "notes.index", model) as made:
        yield made


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_preflight_gets_no_leave(client: httpx.Client, origin: str) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = client.options("/v1/documents", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("depth", [50, 400, 990, 5_000, 200_000])
@pytest.mark.parametrize("begin", ['{"query":"ice","mode":"bm25","where":{"a":', '{"query":'])
def test_deep_nesting_is_refused_and_harms_nobody(
    client: httpx.Client, begin: str, depth: int
) -> None:
    end = "}}" if "where" in begin else "}"
    for left, right in (("[", "]"), ('{"a":', "}")):
        body = begin + left * depth + "1" + right * depth + end
        answer = client.post("/v1/search", content=body, headers=JSON)
        assert 400 <= answer.status_code < 500, answer.text[:200]
    assert client.get("/ready").status_code == 200


def test_the_longest_filter_that_is_allowed_harms_nobody(client: httpx.Client) -> None:
    for where in (
        {f"field-{number}": number for number in range(500)},
        {"year": {"in": list(range(500))}},
    ):
        body = {"query": "ice", "mode": "bm25", "where": where}
        answer = client.post("/v1/search", json=body)
        assert answer.status_code == 400
        assert "no document has" in answer.json()["error"]["message"]
    body["where"] = {f"field-{number}": number for number in range(100_000)}
    answer = client.post("/v1/search", json=body)
    assert answer.json()["error"]["code"] == "limit_exceeded"


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "..\\secret", "a/../../b"])
def test_names_and_ids_of_a_request_are_no_paths(client: httpx.Client, path: str) -> None:
    for url, body in (
        ("/v1/search", {"query": "ice", "index": path}),
        ("/v1/think", {"query": "ice", "model": path}),
        ("/v1/embeddings", {"input": "ice", "model": path}),
        ("/v1/documents", {"index": path, "documents": [{"id": "a", "text": "b"}]}),
    ):
        assert client.post(url, json=body).status_code == 404
    document = {"id": path, "text": f"An id that looks like a path, {path}."}
    answer = client.post("/v1/documents", json={"documents": [document]})
    assert answer.status_code == 200, answer.text
    raw = httpx.URL(client.base_url).copy_with(
        raw_path=b"/v1/documents/" + path.replace("/", "%2F").replace("\\", "%5C").encode()
    )
    assert client.get(raw).json()["text"] == document["text"]
    assert client.delete(raw).json()["deleted"] == 1
    assert client.get(raw).status_code == 404


def test_neither_questions_nor_tokens_nor_texts_are_logged(tmp_path: Path, model: T1) -> None:
    """Not even where everything is logged, and whatever is wrong with the request."""
    file = tmp_path / "tokens.json"
    token = add_token(file, "all", "write")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(json_formatter())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        admission = Admission(["127.0.0.1"], BearerTokenFile(file))
        with serving_notes(tmp_path / "notes.index", model, admission=admission) as client:

            def post(path: str, bearer: str, **body: Any) -> int:
                headers = {"Authorization": f"Bearer {bearer}"}
                return client.post(path, json=body, headers=headers).status_code

            secret = "Xyzzy-secret-text"
            for bearer, status in ((token, 200), ("t1_wrong-token", 401)):
                assert post("/v1/search", bearer, query=secret, think=2) == status
                assert post("/v1/embeddings", bearer, input=secret) == status
                documents = [{"id": secret, "text": secret, "metadata": {"of": secret}}]
                assert post("/v1/documents", bearer, documents=documents) == status
            assert post("/v1/search", token, query=secret, k=secret) == 422
            assert post("/v1/search", token, query=secret, where={secret: 1}) == 400
            assert post("/v1/search", token, query=secret, index=secret) == 404
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    own = [line for line in stream.getvalue().splitlines() if '"logger": "http' not in line]
    log = "\n".join(own)  # the client of this test logs what it sends
    assert '"event": "request"' in log
    for hidden in (secret, token, "t1_wrong-token"):
        assert hidden not in log


def test_every_test_that_the_threat_model_names_is_there() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 20
    source = "\n".join(path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    assert {name for name in named if f"def {name}(" not in source} == set()
