"""An index that another process changes under a running server."""

import subprocess
import sys
from pathlib import Path

import httpx
from live_server import serving_notes
from t1_command import NOTES, write_lines

from thought1.t1 import T1


def ids_found(client: httpx.Client, query: str, mode: str) -> list[str]:
    body = {"query": query, "mode": mode, "think": 0, "k": 10}
    answer = client.post("/v1/search", json=body)
    return [hit["id"] for hit in answer.json()["results"][0]["hits"]]


def test_the_next_search_finds_what_another_process_added_and_not_what_it_removed(
    tmp_path: Path, model: T1, checkpoint: str
) -> None:
    folder = tmp_path / "notes.index"
    rows = [{"_id": id_, "text": text} for id_, text, _, _ in NOTES if id_ != "salt"]
    rows += [{"_id": "steam", "text": "Steam burns worse than boiling water."}]
    corpus = write_lines(tmp_path / "corpus.jsonl", rows)
    command = [sys.executable, "-m", "thought1.cli", "index", str(corpus), "-o", str(folder)]
    with serving_notes(folder, model) as client:
        assert ids_found(client, "freezing point", "bm25") == ["salt"]
        subprocess.run([*command, "--model", checkpoint, "--prune"], check=True)
        assert ids_found(client, "steam burns", "bm25") == ["steam"]
        assert ids_found(client, "freezing point", "bm25") == []
        expected = sorted(row["_id"] for row in rows)
        assert sorted(ids_found(client, "anything", "dense")) == expected
        assert client.get("/v1/documents/steam").json()["text"] == rows[-1]["text"]
        assert client.get("/v1/documents/salt").status_code == 404
        assert client.get("/v1/indexes").json()["indexes"][0]["documents"] == len(expected)
