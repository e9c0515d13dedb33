"""An index that is damaged or gone under a running server: clients are told, without a path."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from live_server import notes_index, serving_notes

from thought1.index import Index
from thought1.serving import readiness
from thought1.serving.readiness import probe
from thought1.store import lance_commits
from thought1.t1 import T1
from thought1.testing import FakeModel
from thought1.types import IndexUnavailable

Damage = Callable[[Path], object]


def remove(index: Path) -> None:
    shutil.rmtree(index)


def blank_data(index: Path) -> None:
    for file in (index / "documents.lance" / "data").rglob("*.lance"):
        file.write_bytes(bytes(file.stat().st_size))


def empty_manifests(index: Path) -> None:
    for file in index.rglob("*.manifest"):
        file.write_bytes(b"")


def blank_word_index(index: Path) -> None:
    for file in (index / "documents.lance" / "_indices").rglob("*"):
        if file.is_file():
            file.write_bytes(b"junk")


DAMAGES = [remove, blank_data, empty_manifests]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance_commits, "FAILURE_SECONDS", 0.1)


@pytest.mark.parametrize("damage", DAMAGES)
def test_clients_get_503_without_a_path_and_the_log_has_it(
    tmp_path: Path,
    model: T1,
    damage: Damage,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "secret-place" / "notes.index"
    with serving_notes(folder, model) as client:
        assert client.get("/ready").status_code == 200
        damage(folder)
        for body in (
            {"query": "ice in water", "mode": "bm25"},
            {"query": "ice in water", "mode": "bm25", "stream": True},
        ):
            answer = client.post("/v1/search", json=body)
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "index_unavailable"
            assert "secret-place" not in answer.text
        assert "secret-place" in caplog.text
        assert not [record for record in caplog.records if record.exc_info]
        assert client.get("/health").status_code == 200
        monkeypatch.setattr(readiness, "SECONDS", 0.0)  # so long an answer holds
        ready = client.get("/ready")
        assert ready.json()["error"]["message"] == "the index notes cannot be read"
        assert "secret-place" not in ready.text


def test_a_write_to_an_index_that_is_gone_is_no_success(tmp_path: Path, model: T1) -> None:
    folder = tmp_path / "notes.index"
    with serving_notes(folder, model) as client:
        remove(folder)
        body = {"documents": [{"id": "new", "text": "text"}]}
        for answer in (
            client.post("/v1/documents", json=body),
            client.delete("/v1/documents/ice"),
            client.get("/v1/documents/ice"),
            client.get("/v1/indexes"),
        ):
            assert answer.status_code == 503, answer.text
            assert str(tmp_path) not in answer.text


def test_what_a_model_refuses_is_told_without_its_folder(tmp_path: Path, model: T1) -> None:
    query = replace(model.settings.query, pattern="Instruct: {instruction}\nQuery: {text}\n")
    reads_none = model.with_settings(replace(model.settings, query=query))
    with serving_notes(tmp_path / "notes.index", reads_none) as client:
        answer = client.post("/v1/search", json={"query": "ice", "evidence": 2, "think": 4})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("model cannot read evidence")
    assert str(Path(model.name).parent) not in answer.text


@pytest.mark.parametrize("damage", [*DAMAGES, blank_word_index])
def test_a_probe_finds_what_a_search_would(tmp_path: Path, damage: Damage) -> None:
    index = notes_index(tmp_path / "notes.index", FakeModel())
    damage(index.path)
    with pytest.raises(IndexUnavailable, match=r"notes\.index"):
        probe(index)


def test_an_empty_index_is_ready(tmp_path: Path) -> None:
    probe(Index.create(tmp_path / "empty.index", FakeModel()))
