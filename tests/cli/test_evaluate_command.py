"""`t1 evaluate`: the report, the run, the index it uses, and what it refuses."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from t1_command import Ran, T1Command, write_lines

from thought1.data.formats import read_run
from thought1.t1 import T1

METRICS = {"ndcg@10", "recall@1", "recall@10", "recall@100", "mrr@10"}


@pytest.mark.parametrize("mode", ["dense", "bm25", "hybrid"])
def test_evaluate(t1: T1Command, tmp_path: Path, collection: Path, model: str, mode: str) -> None:
    run_file = tmp_path / "run.trec"
    arguments = ["evaluate", collection, "--split", "dev", "--mode", mode]
    if mode != "bm25":
        arguments += ["--model", model]
    report = t1(*arguments, "--json", "--run", run_file).json()
    assert set(report) == {"metrics", "ci", "queries", "model", "mode", "think", "receipt"}
    assert set(report["metrics"]) == set(report["ci"]) == METRICS
    for name, value in report["metrics"].items():
        low, high = report["ci"][name]
        assert 0 <= low <= value <= high <= 1
    assert report["queries"] == report["receipt"]["queries"] == 2  # q3 is not judged
    expected = (None, None) if mode == "bm25" else (model, 8)
    assert (report["model"], report["think"]) == expected
    run = read_run(run_file)
    assert set(run) == {"q1", "q2"}
    if mode != "bm25":
        assert report["metrics"]["recall@100"] == 1.0  # the whole corpus is found
    table = t1(*arguments)
    assert f"{report['metrics']['ndcg@10']:.4f}" in table.out
    assert f"2 queries, {mode}" in table.out


def test_evaluate_budgets(t1: T1Command, collection: Path, model: str, built: str) -> None:
    arguments = ["evaluate", collection, "--split", "dev", "--index", built, "--json"]
    bare = t1(*arguments, "--no-think").json()
    assert (bare["think"], bare["receipt"]["thought_tokens"]) == (0, 0)
    assert bare["model"] == model  # which the index remembers
    some = t1(*arguments, "--think", "3").json()
    assert (some["think"], some["receipt"]["thought_tokens"]) == (3, 6)
    assert "contradict" in t1(*arguments, "--think", "3", "--no-think").error()


def test_evaluate_is_greedy(
    t1: T1Command, tmp_path: Path, collection: Path, model: str, built: str
) -> None:
    hot = T1.from_pretrained(model)
    thought = replace(hot.settings.thought, temperature=3.0)
    hot.checkpoint.settings = replace(hot.settings, thought=thought)
    hot.save_pretrained(tmp_path / "hot")
    arguments = ["evaluate", collection, "--split", "dev", "--index", built, "--json"]
    runs = []
    for name in (model, tmp_path / "hot"):
        file = tmp_path / "run"
        t1(*arguments, "--model", name, "--run", file).json()
        runs.append(file.read_text())
    assert runs[0] == runs[1]


def test_evaluate_keeps_the_index(
    t1: T1Command, tmp_path: Path, collection: Path, model: str
) -> None:
    arguments = ["evaluate", collection, "--split", "dev", "--index", tmp_path / "i", "--json"]
    first = t1(*arguments, "--model", model).json()
    assert t1(*arguments).json()["metrics"] == first["metrics"]
    corpus = write_lines(tmp_path / "more.jsonl", [{"_id": "x", "text": "more"}])
    assert t1("index", corpus, "-o", tmp_path / "i").code == 0
    assert "holds 5 documents and the collection 4" in t1(*arguments).error()


def test_evaluate_refuses_what_cannot_work(t1: T1Command, tmp_path: Path, collection: Path) -> None:
    def refused(*arguments: object) -> str:
        return t1("evaluate", *arguments).error()

    assert "has no split 'test'; it has: dev" in refused(collection, "--split", "test")
    assert "no qrels" in refused(tmp_path, "--split", "dev")
    nowhere = tmp_path / "none" / "run"
    assert "cannot be written" in refused(collection, "--split", "dev", "--run", nowhere)
    bm25 = [collection, "--split", "dev", "--mode", "bm25"]
    assert "bm25 does not think" in refused(*bm25, "--think", "4")


def test_interrupted_evaluation_leaves_nothing(
    t1: T1Command, tmp_path: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def interrupt(*_: object, **__: object) -> None:
        seen.extend(scratch.iterdir())
        raise KeyboardInterrupt

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setattr("thought1.evaluation.collection.search_in_batches", interrupt)
    arguments = ["evaluate", collection, "--split", "dev", "--mode", "bm25"]
    ran = t1(*arguments, "--run", tmp_path / "run")
    assert ran == Ran(130, "", "interrupted\n")
    assert len(seen) == 1  # the temporary index
    assert os.listdir(scratch) == []
    assert os.listdir(tmp_path) == ["scratch"]
