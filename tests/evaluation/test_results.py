"""The result file: what is in it, where it lies, and which files are refused."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from result_files import ResultFile

from thought1.data.formats import read_run
from thought1.data.hashing import hash_file
from thought1.data.outputs import whole_file
from thought1.evaluation.measure import Measured
from thought1.evaluation.request import Request
from thought1.evaluation.results import provenance
from thought1.evaluation.results.build import Extras, build_result, cost_of
from thought1.evaluation.results.files import (
    read_result,
    read_result_run,
    result_path,
    write_result,
)
from thought1.evaluation.results.models import Result
from thought1.evaluation.results.provenance import origin, peak_memory_mb
from thought1.evaluation.results.replay import changes, compare_results, run_difference
from thought1.evaluation.run import request_of
from thought1.evaluation.statistics.protocol import Evaluation
from thought1.evaluation.systems import Answers, Documents, SystemFacts
from thought1.evaluation.task import Task
from thought1.types import Document, Query, Receipt, Run, Thought, Thought1Error

REQUEST = Request("facts", "dev", think=4, model="models/small")


def measured() -> Measured:
    """Two questions: one thought about for 4 tokens and found, one without thought and missed."""
    corpus = [Document("d1", "x" * 400, "Ice"), Document("d2", "salt"), Document("d3", "rust")]
    documents = Documents(lambda: iter(corpus), 3, Path("facts"))
    run: Run = {"q1": {"d1": 0.5, "d2": 0.25}, "q2": {"d1": 0.5, "d2": 0.25}}
    receipt = Receipt(2, 30, 4, 1, {"think": 10.0, "dense": 2.0})
    return Measured(
        Task(
            "facts-dev",
            "facts",
            "dev",
            [Query("q1", "why ice"), Query("q2", "why rust")],
            {"q1": {"d1": 1, "d2": 0}, "q2": {"d3": 1}},
            {"corpus.jsonl": "a" * 64},
            lambda: (documents, None),
        ),
        documents,
        SystemFacts("owner/small@4", "t1", "abc", "dense", 4, "w" * 64, "s" * 64),
        Answers(run, receipt, {"q1": (Thought("ice expands", (1, 2, 3, 4), "budget"),)}),
        run,
        {"official": Evaluation({"ndcg@10": {"q1": 1.0, "q2": 0.0}})},
    )


@pytest.fixture
def content() -> dict[str, Any]:
    return build_result(measured(), REQUEST, price=2.0).to_json()


def result(content: dict[str, Any]) -> Result:
    return Result.model_validate(content)


def test_content(content: dict[str, Any]) -> None:
    assert content["format"] == 1
    assert content["task"] == {
        "name": "facts-dev",
        "kind": "beir",
        "folder": "facts",
        "split": "dev",
        "queries": 2,
        "documents": 3,
        "hashes": {"corpus.jsonl": "a" * 64},
    }
    assert content["system"] == {
        "name": "owner/small@4",
        "kind": "t1",
        "revision": "abc",
        "mode": "dense",
        "think": 4,
        "weights": "w" * 64,
        "settings": "s" * 64,
    }
    assert (content["metrics"], content["queries"]) == ({"ndcg@10": 0.5}, 2)
    assert content["ci"] == {"ndcg@10": [0.0, 1.0]}
    assert content["per_query"] == {"ndcg@10": {"q1": 1.0, "q2": 0.0}}
    assert content["origin"]["command"] == [
        "t1", "evaluate", "facts", "--split", "dev", "--mode", "dense", "--think", "4",
        "--model", "models/small",
    ]  # fmt: skip
    assert content["origin"]["seed"] == 0
    assert {"date", "commit", "uncommitted", "machine", "versions"} <= content["origin"].keys()
    assert not {"curve", "faithfulness"} & content.keys()
    curve, faithfulness = ResultFile().points(0.5), ResultFile().gauge(0.5)
    studied = build_result(measured(), REQUEST, extras=Extras(curve, faithfulness)).to_json()
    assert (studied["curve"], studied["faithfulness"]) == (curve, faithfulness)


def test_cost_is_that_of_a_query(content: dict[str, Any]) -> None:
    cost = content["cost"]
    assert cost["prompt_tokens"] == 15.0
    assert cost["thought_tokens"] == {"mean": 2.0, "p95": pytest.approx(3.8)}
    assert cost["forced"] == 0.5
    assert cost["milliseconds"] == {"think": 5.0, "dense": 1.0}
    assert 20 < cost["peak_memory_mb"] < 1e6
    # 17 tokens of a query, 1,000 queries, 2 for a million.
    assert cost["cost_per_1000_queries"] == pytest.approx(0.034)
    assert cost_of(measured())["cost_per_1000_queries"] is None


def test_written_and_read(content: dict[str, Any], tmp_path: Path) -> None:
    path = write_result(tmp_path, result(content), measured())
    assert path == tmp_path / "owner__small@4" / "abc" / "facts-dev.json"
    assert read_result(path).to_json() == content
    assert read_result_run(path, result(content)) == measured().run
    assert read_run(path.with_name("facts-dev.run.gz")) == measured().run
    with gzip.open(path.with_name("facts-dev.details.jsonl.gz"), "rt", encoding="utf-8") as lines:
        first, second = map(json.loads, lines)
    assert first["hits"][0] == {"id": "d1", "score": 0.5, "text": "Ice\n" + 296 * "x"}
    assert {k: v for k, v in first.items() if k != "hits"} == {
        "_id": "q1",
        "query": "why ice",
        "thought": "ice expands",
        "thought_tokens": 4,
        "finish_reason": "budget",
        "relevant": ["d1"],
    }
    assert (second["thought"], second["thought_tokens"], second["relevant"]) == (None, 0, ["d3"])
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    write_result(tmp_path, result(content), measured())
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    path.with_name("facts-dev.run.gz").unlink()
    assert read_result_run(path, result(content)) is None


def test_rewritten_queries_are_told(tmp_path: Path) -> None:
    found = measured()
    task = replace(found.task, rewritten={"q1": "ice cold", "q2": "y"}, rewriter="gpt")
    found = replace(found, task=task)
    content = build_result(found, REQUEST)
    assert content.system.name == "owner/small@4+gpt"
    path = write_result(tmp_path, content, found)
    with gzip.open(path.with_name("facts-dev.details.jsonl.gz"), "rt") as lines:
        line = json.loads(next(lines))
    assert (line["query"], line["rewritten"]) == ("why ice", "ice cold")


def test_names_stay_in_the_folder() -> None:
    found = result_path(Path("r"), ".hidden:ä/x", "../a b", "..")
    assert found == Path("r", "__a-b", "-", "hidden--__x.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2; this program reads formats up to 1"),
        ({"format": None}, 'no "format"'),
        ({"metrics": None}, "'metrics' is missing or of the wrong kind"),
        ({"task": {}}, "'task' lacks name, kind"),
        ({"ci": {}}, "do not have the same measures"),
        ({"request": 1}, "'request' is missing"),
    ],
)
def test_what_is_no_result_is_refused(
    content: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({**content, **change}))
    with pytest.raises(Thought1Error, match=message):
        read_result(file)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="cannot be read"):
        read_result(tmp_path / "none.json")
    (tmp_path / "x.json").write_text("[1")
    with pytest.raises(Thought1Error, match="not the result of an evaluation"):
        read_result(tmp_path / "x.json")
    with pytest.raises(Thought1Error, match="cannot be read"):
        hash_file(tmp_path / "none")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    with pytest.raises(KeyError), whole_file(path) as stream:
        stream.write(b"half")
        raise KeyError
    assert list(path.parent.iterdir()) == []
    with whole_file(path) as stream:
        stream.write(b"whole")
    assert path.read_bytes() == b"whole"
    with pytest.raises(Thought1Error, match="cannot be written"), whole_file(path / "x"):
        pass


@contextmanager
def repository(folder: Path) -> Iterator[Path]:
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t"]
    (folder / "file").write_text("a")
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    yield folder


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_origin_knows_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A folder above may be a checkout, of which nothing must be told.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    file = tmp_path / "file"
    outside = origin(["x"], file)
    assert (outside["commit"], outside["uncommitted"]) == (None, None)
    with repository(tmp_path):
        clean = origin(["x"], file)
        assert (len(clean["commit"]), clean["uncommitted"]) == (40, False)
        file.write_text("b")
        assert origin(["x"], file)["uncommitted"] is True
        # As where a package is installed inside of someone's checkout.
        assert origin(["x"], tmp_path / "untracked")["commit"] is None
    assert clean["versions"]["numpy"] and clean["machine"]["cores"]


def test_peak_memory_has_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    here = peak_memory_mb()
    assert here is not None
    monkeypatch.setattr(provenance.sys, "platform", "darwin")  # where the number is in bytes
    there = peak_memory_mb()
    assert there is not None
    assert here / there == pytest.approx(1024, rel=0.1)
    monkeypatch.setattr(provenance.sys, "platform", "win32")
    assert peak_memory_mb() is None


def test_comparison(content: dict[str, Any]) -> None:
    run = measured().run
    old = result(content)
    same = compare_results(old, old, (run, run))
    assert same.equal and same.to_json()["run"] == 0
    assert compare_results(old, old, (None, run)).equal  # the run has not been kept
    # Two queries that change places leave the mean as it is.
    swapped = result({**content, "per_query": {"ndcg@10": {"q1": 0.0, "q2": 1.0}}})
    found = compare_results(old, swapped, (run, run))
    assert (found.rows[0].old, found.rows[0].new, found.rows[0].largest) == (0.5, 0.5, 1.0)
    assert not found.equal
    assert compare_results(old, swapped, (run, run), tolerance=1.0).equal
    lost = result({**content, "per_query": {"ndcg@10": {"q1": 1.0}}})
    assert compare_results(old, lost, (run, run)).to_json() == {
        "equal": False,
        "tolerance": 1e-6,
        "metrics": {"ndcg@10": {"old": 0.5, "new": 0.5, "largest_of_a_query": None}},
        "run": 0.0,
    }
    other = {q: {d: s + 0.01 for d, s in scores.items()} for q, scores in run.items()}
    assert not compare_results(old, old, (run, other)).equal


def test_runs_may_differ_at_the_cut() -> None:
    a = {"q": {"x": 3.0, "y": 1.0}}
    assert run_difference(a, {"q": {"x": 3.0, "z": 1.0}}) == 0  # y and z share the last place
    assert run_difference(a, {"q": {"x": 3.0, "z": 2.0}}) == 1.0
    assert run_difference(a, {"q": {}}) == float("inf")
    assert run_difference(a, {}) == float("inf")
    assert run_difference({"q": {}}, {}) == 0


def test_request_and_changes(content: dict[str, Any]) -> None:
    assert request_of(result(content)) == REQUEST
    with pytest.raises(Thought1Error, match='the field "request" of the result is broken'):
        request_of(result(content | {"request": {"fold": "x"}}))
    assert changes({"a": "1", "b": None}, {"a": "2", "b": None, "c": "3"}) == ["a", "c"]
