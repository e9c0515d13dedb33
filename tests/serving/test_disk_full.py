"""A disk that is full under a running server: clients are told, and nothing stored is lost."""

from pathlib import Path

import httpx
import pytest
from live_server import serving_notes
from small_disk import fill, small_disk
from t1_command import NOTES

from thought1.t1 import T1

WORDS = "frost on the window melts at noon "


def add(client: httpx.Client, *ids: str) -> httpx.Response:
    documents = [{"id": id_, "text": f"{id_} {WORDS * 200}"} for id_ in ids]
    return client.post("/v1/documents", json={"documents": documents})


def ids_found(client: httpx.Client, query: str) -> list[str]:
    answer = client.post("/v1/search", json={"query": query, "mode": "bm25", "think": 0})
    assert answer.status_code == 200, answer.text
    return [hit["id"] for hit in answer.json()["results"][0]["hits"]]


def test_a_full_disk_is_told_and_adding_goes_on_when_there_is_space(
    tmp_path: Path, model: T1, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        small_disk(tmp_path / "secret-place", 48) as disk,
        serving_notes(disk / "notes.index", model) as client,
    ):
        assert add(client, "before").status_code == 200
        assert client.get("/ready").json() == {"status": "ok", "problems": []}
        filling = fill(disk)

        for answer in (add(client, "after", "later"), client.delete("/v1/documents/ice")):
            assert answer.status_code == 507, answer.text
            error = answer.json()["error"]
            assert (error["code"], error["type"]) == ("disk_full", "server_error")
            assert "send this again when there is space" in error["message"]
            assert "secret-place" not in answer.text
        assert "the disk is full: nothing more can be written" in caplog.text
        assert "secret-place" in caplog.text
        assert not [record for record in caplog.records if record.exc_info]

        ready = client.get("/ready")
        assert ready.status_code == 200
        problem = "the disk of the index notes is nearly full: writes may fail"
        assert ready.json() == {"status": "degraded", "problems": [problem]}
        assert ids_found(client, "before frost") == ["before"]
        assert ids_found(client, "ice cubes") == ["ice"]
        assert client.get("/v1/documents/after").status_code == 404
        assert client.get("/v1/indexes").json()["indexes"][0]["documents"] == len(NOTES) + 1
        assert 't1_errors_total{code="disk_full"} 2.0' in client.get("/metrics").text

        filling.unlink()
        assert add(client, "after", "later").json()["added"] == 2
        assert client.delete("/v1/documents/ice").json()["deleted"] == 1
        assert sorted(ids_found(client, "frost")) == ["after", "before", "later"]
        assert client.get("/ready").json()["status"] == "ok"
