"""benchmarks/rerank.py, rerank_guided.py, train_cross_encoder.py: a few sentences, tiny models."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from small_facts import QUERIES, write_facts
from tiny import TEXTS

from thought1 import T1, Document, Index
from thought1.search.options import SearchOptions
from thought1.types import Reranked


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection `facts` and a model `qwen3`."""
    made = tmp_path_factory.mktemp("rerank")
    write_facts(made)
    return made


def test_every_depth_and_weight_has_a_row(folder: Path) -> None:
    out = folder / "out.json"
    command = [
        str(folder / "facts"), "--split", "dev", "--model", str(folder / "qwen3"),
        "--reranker", "t1", "--depths", "2,4", "--weights", "0,1", "--kept", str(folder / "kept"),
        "--json", str(out),
    ]  # fmt: skip
    assert module("rerank").main(command) == 0
    report = json.loads(out.read_text())
    rows: dict[str, Any] = {row["name"]: row for row in report["rows"]}
    assert list(rows) == [
        "search alone",
        *(f"t1, depth {depth}, weight {weight}" for depth in (2, 4) for weight in (0, 1)),
        "oracle, depth 2",
        "oracle, depth 4",
    ]
    assert report["questions"] == 3
    assert rows["t1, depth 4, weight 0"]["values"] == rows["search alone"]["values"]
    for name, row in rows.items():
        depth = name.partition("depth ")[2].partition(",")[0]
        best = rows[f"oracle, depth {depth}"]["values"] if depth else {}
        assert all(best[query] >= value for query, value in row["values"].items() if best)
    assert rows["t1, depth 4, weight 1"]["tokens"] > rows["t1, depth 2, weight 1"]["tokens"] > 0


def test_the_hybrid_search_is_that_of_an_index(folder: Path, tmp_path: Path) -> None:
    collection = module("collection").load_collection(folder / "facts", "dev", None)
    model = T1.from_pretrained(folder / "qwen3")
    thinking = module("search_thoughts").Thinking(model, collection, tmp_path)
    found = module("rerank").searched(thinking, 4, 0, "hybrid")
    index = Index.create(tmp_path / "index", model)
    index.add([Document(id_, text) for id_, text in collection.documents.items()])
    options = SearchOptions(k=4, mode="hybrid", think=0)
    for (query, text), ranking in zip(collection.queries.items(), found.values(), strict=True):
        (result,), _ = index.search_many([text], options)
        assert [hit.id for hit in result.hits] == [id_ for id_, _ in ranking], query
        assert [hit.score for hit in result.hits] == pytest.approx([score for _, score in ranking])


def test_a_walk_stands_beside_the_first_documents(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thought1.search.guided.STARTS", 1)
    monkeypatch.setattr("thought1.search.guided.DEGREE", 1)
    out = folder / "guided.json"
    command = [
        str(folder / "facts"), "--split", "dev", "--model", str(folder / "qwen3"),
        "--reranker", "t1", "--budgets", "2,100", "--weights", "0,1",
        "--kept", str(folder / "kept"), "--json", str(out),
    ]  # fmt: skip
    assert module("rerank_guided").main(command) == 0
    report = json.loads(out.read_text())
    rows: dict[str, Any] = {row["name"]: row for row in report["rows"]}
    ways = [
        f"{way}, {budget} read, weight {weight}"
        for budget in (2, 100)
        for way in ("first", "walk")
        for weight in (0, 1)
    ]
    assert list(rows) == ["search alone", *ways]
    # Where all is read, both ways have read the same.
    for weight in (0, 1):
        first, walk = (rows[f"{way}, 100 read, weight {weight}"] for way in ("first", "walk"))
        assert first["values"] == walk["values"]
        assert walk["walk minus first"]["mean"] == 0
    assert rows["first, 2 read, weight 0"]["values"] == rows["search alone"]["values"]


def test_a_reranker_that_cannot_guide_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        str(folder / "facts"), "--split", "dev", "--model", str(folder / "qwen3"),
        "--reranker", "openai:http://127.0.0.1:9#m", "--kept", str(folder / "kept"),
    ]  # fmt: skip
    assert module("rerank_guided").main(command) == 2
    assert "one document at a time" in capsys.readouterr().err


def test_a_deep_score_serves_smaller_depths() -> None:
    rerank = module("rerank")
    run = {"q": [("a", 3.0), ("b", 2.0), ("c", 1.0)]}
    found = rerank.Scored({"q": Reranked((0.0, 1.0, 2.0))}, 1.0, 1.0)
    ids = [id_ for id_, _ in rerank.reranked(run, found, 2, 1.0)["q"]]
    assert ids == ["b", "a", "c"]
    assert [id_ for id_, _ in rerank.reranked(run, found, 3, 1.0)["q"]] == ["c", "b", "a"]


def test_wrong_depths_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [str(folder / "facts"), "--split", "dev", "--kept", "x", "--depths", "many"]
    assert module("rerank").main(command) == 2
    assert "give numbers with commas" in capsys.readouterr().err


def test_hard_negatives_are_near_and_not_relevant(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bi-encoder that is a table: what it ranks first and is not judged is drawn."""
    import numpy as np

    train = module("train_cross_encoder")

    class Table:
        dim = len(TEXTS)

        @classmethod
        def load(cls, name: str) -> "Table":
            return cls()

        def embed_documents(self, texts: list[str]) -> Any:
            return np.eye(len(texts), dtype=np.float32)

        def embed_queries(self, texts: list[str]) -> Any:
            return np.tile(np.linspace(1, 0, self.dim, dtype=np.float32), (len(texts), 1))

    monkeypatch.setattr(train, "SentenceModel", Table)
    monkeypatch.setattr(train, "NEGATIVES_FROM", 3)
    collection = module("collection").load_collection(folder / "facts", "dev")
    options = train.argparse.Namespace(without=None, vectors=None, seed=0, positives=1, negatives=2)
    pairs = train.labelled_pairs(collection, options)
    rows = list(zip(pairs["question"], pairs["document"], pairs["label"], strict=True))
    first = [row for row in rows if row[0] == QUERIES["q1"]]
    assert first[0] == (QUERIES["q1"], TEXTS[0], 1.0)
    assert {text for _, text, label in first if label == 0} == {TEXTS[1], TEXTS[2]}
    assert sum(pairs["label"]) == 3
    held = folder / "held.txt"
    held.write_text("q1\nq2\nq3\n")
    options.without = held
    with pytest.raises(train.Thought1Error, match="no question is left"):
        train.labelled_pairs(collection, options)
