"""benchmarks/search_latency.py on a small collection, where what it measures means nothing."""

import importlib
import json
from pathlib import Path

import pytest


def test_it_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    latency = importlib.import_module("search_latency")
    file = tmp_path / "out.json"
    assert latency.main(["--documents", "200", "--queries", "20", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    steps = ("whole search", "dense", "bm25", "fuse", "fetch")
    ours = {f"{name}, {step}" for name in ("t1", "t1, 16 together") for step in steps}
    assert ours | {"lancedb, dense", "lancedb, bm25", "bm25s"} <= found["milliseconds"].keys()
    assert all(0 < one["p50"] <= one["p95"] for one in found["milliseconds"].values())
    assert found["lancedb_ratio"].keys() == {"dense", "bm25"}
    assert "| t1, dense | " in capsys.readouterr().out


def test_the_peer_searches_alike(tmp_path: Path) -> None:
    """LanceDB's own calls must find what the index finds, or they compare nothing."""
    latency = importlib.import_module("search_latency")
    documents = [latency.Document(f"d{i}", f"word{i % 7} word{i}") for i in range(50)]
    index = latency.make_index(tmp_path / "i", documents, latency.directions(50, 0))
    peers = latency.lancedb_searches(tmp_path / "i")
    (query_D,) = latency.directions(1, 1)
    for mode in ("dense", "bm25"):
        found = index.search_many(
            ["word3"],
            latency.SearchOptions(50, mode),
            [latency.Thought("", (), "none", vector=query_D)],
        )[0][0]
        rows = peers[f"lancedb, {mode}"]("word3", query_D)
        assert {hit.id for hit in found.hits} == set(rows["id"].to_pylist())
