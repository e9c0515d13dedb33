"""Many small writes: the server compacts the index by itself."""

import time
from pathlib import Path

import httpx
import pytest
from live_server import listening, notes_app

from thought1.index import Index
from thought1.serving import tidying
from thought1.t1 import T1


def test_an_index_is_compacted_after_so_many_writes(
    tmp_path: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "AFTER", 4)
    compacted: list[int] = []
    optimize = Index.optimize

    def noted(index: Index) -> None:
        optimize(index)
        compacted.append(len(index))

    monkeypatch.setattr(Index, "optimize", noted)
    app = notes_app(tmp_path / "notes", T1.from_pretrained(checkpoint))
    with listening(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        before = client.get("/v1/indexes").json()["indexes"][0]["documents"]
        for number in range(3):
            body = {"documents": [{"id": f"new{number}", "text": f"zebra {number}"}]}
            assert client.post("/v1/documents", json=body).status_code == 200
        assert compacted == []
        assert client.delete("/v1/documents/new0").status_code == 200
        deadline = time.monotonic() + 30
        while not compacted and time.monotonic() < deadline:
            time.sleep(0.05)
        assert compacted == [before + 2]
        found = client.post("/v1/search", json={"query": "zebra", "mode": "bm25"}).json()
        assert {hit["id"] for hit in found["results"][0]["hits"]} == {"new1", "new2"}


def test_a_compaction_that_fails_is_logged(
    tmp_path: Path,
    checkpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(tidying, "AFTER", 1)
    app = notes_app(tmp_path / "notes", T1.from_pretrained(checkpoint))

    def fail(_index: Index) -> None:
        raise tidying.Thought1Error("no space")

    monkeypatch.setattr(Index, "optimize", fail)
    with listening(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        body = {"documents": [{"id": "new", "text": "zebra"}]}
        assert client.post("/v1/documents", json=body).status_code == 200
        assert client.get("/v1/documents/new").status_code == 200
    assert "notes was not compacted: no space" in caplog.text


def test_a_large_index_is_left_alone(
    tmp_path: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would get a vector index, and its search would no longer be exact."""
    monkeypatch.setattr(tidying, "AFTER", 1)
    monkeypatch.setattr(tidying, "EXACT_LIMIT", 2)
    compacted: list[Index] = []
    monkeypatch.setattr(Index, "optimize", compacted.append)
    app = notes_app(tmp_path / "notes", T1.from_pretrained(checkpoint))
    with listening(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        body = {"documents": [{"id": "new", "text": "zebra"}]}
        assert client.post("/v1/documents", json=body).status_code == 200
    assert compacted == []  # the server has ended, and what it had started as well
