"""`t1 replay`: the same again is 0, other numbers are 1, and what changed is named."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from t1_command import T1Command, small_checkpoint, write_lines

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def copy(collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The collection, to be changed, below the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(collection, tmp_path / "notes")
    return Path("notes")


def kept(t1: T1Command, *arguments: object) -> Path:
    return Path(t1("evaluate", *arguments, "--split", "dev", "--json").json()["result"])


def edit(file: Path, change: Change) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("arguments", [["--system", "bm25-query"], ["--mode", "bm25"]])
def test_the_same_again(t1: T1Command, copy: Path, arguments: list[str]) -> None:
    file = kept(t1, copy, *arguments)
    before = {path: path.read_bytes() for path in Path("results").rglob("*.*") if path.is_file()}
    found = t1("replay", file, "--json").json()
    assert (found["equal"], found["changed"], found["run"]) == (True, [], 0.0)
    assert found["metrics"]["ndcg@10"]["old"] == found["metrics"]["ndcg@10"]["new"]
    shown = t1("replay", file)
    assert shown.code == 0
    assert "ndcg@10" in shown.out
    assert shown.out.endswith("the same, at a tolerance of 1e-06\n")
    after = {path: path.read_bytes() for path in Path("results").rglob("*.*") if path.is_file()}
    assert after == before


def test_thoughts_are_replayed(t1: T1Command, copy: Path, model: str) -> None:
    arguments = ("--model", model, "--index", "notes.index", "--think", "4")
    file = kept(t1, copy, *arguments, "--curve", "0,4", "--faithfulness")
    found = t1("replay", file, "--json").json()
    assert (found["changed"], found["not_replayed"]) == ([], ["curve", "faithfulness"])
    shutil.rmtree("notes.index")  # made anew, but not there
    ran = t1("replay", file)
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "not replayed: curve, faithfulness"
    assert not Path("notes.index").exists()


def test_several_thoughts_are_replayed(t1: T1Command, copy: Path, model: str) -> None:
    file = kept(t1, copy, "--model", model, "--think", "4", "--samples", "3")
    content = json.loads(file.read_text())
    assert content["system"]["name"] == "model@4-samples-3"
    assert content["request"]["samples"] == 3
    assert " --samples 3 " in " ".join(content["origin"]["command"])
    assert content["cost"]["thought_tokens"]["mean"] == 12.0
    assert content["cost"]["forced"] == 1.0
    with gzip.open(file.with_name(content["files"]["details"]), "rt") as lines:
        details = [json.loads(line) for line in lines]
    assert [len(line["thoughts"]) for line in details] == [3, 3]
    assert all(line["thoughts"][0]["text"] == line["thought"] for line in details)
    assert [line["thought_tokens"] for line in details] == [12, 12]
    found = t1("replay", file, "--json").json()
    assert (found["equal"], found["changed"]) == (True, [])
    single = json.loads(kept(t1, copy, "--model", model, "--think", "4").read_text())
    assert single["system"]["settings"] != content["system"]["settings"]
    assert "samples" not in single["request"]


@pytest.mark.parametrize(
    ("flags", "tail"),
    [
        (["--think", "0"], "model@0-rerank-t1-depth-3-weight-0.5"),
        (["--mode", "hybrid", "--think", "0", "--fusion", "ranks"],
         "model@0-hybrid-fusion-ranks-rerank-t1-depth-3-weight-0.5"),
        (["--think", "0", "--rerank-guided", "--rerank-weight", "1"],
         "model@0-rerank-t1-guided-3-weight-1"),
    ],
)  # fmt: skip
def test_a_reranked_search_is_replayed(
    t1: T1Command, copy: Path, model: str, flags: list[str], tail: str
) -> None:
    file = kept(t1, copy, "--model", model, *flags, "--rerank", "t1", "--rerank-depth", "3")
    content = json.loads(file.read_text())
    assert content["system"]["name"] == tail
    assert content["request"]["rerank_depth"] == 3
    command = " ".join(content["origin"]["command"])
    assert " --rerank t1 --rerank-depth 3 " in command
    assert ("--rerank-guided" in command) is ("--rerank-guided" in flags)
    assert content["cost"]["milliseconds"]["rerank"] > 0
    found = t1("replay", file, "--json").json()
    assert (found["equal"], found["changed"]) == (True, [])
    plain = json.loads(kept(t1, copy, "--model", model, "--think", "0").read_text())
    assert plain["system"]["settings"] != content["system"]["settings"]
    assert not any("rerank" in name or name == "fusion" for name in plain["request"])


def test_words_are_reranked_too(t1: T1Command, copy: Path, model: str) -> None:
    file = kept(t1, copy, "--mode", "bm25", "--rerank", f"t1:{model}", "--rerank-depth", "2")
    content = json.loads(file.read_text())
    assert content["system"]["name"] == "index-bm25-rerank-t1-model-depth-2-weight-0.5"
    assert content["system"]["settings"]
    assert content["cost"]["rerank_tokens"] > 0
    assert t1("replay", file, "--json").json()["equal"] is True


def test_a_search_that_reads_first_is_replayed(t1: T1Command, copy: Path, model: str) -> None:
    arguments = ("--model", model, "--think", "4", "--evidence", "2", "--mode", "hybrid")
    file = kept(t1, copy, *arguments, "--samples", "2")
    content = json.loads(file.read_text())
    assert content["system"]["name"] == "model@4-hybrid-samples-2-evidence-2"
    assert (content["request"]["samples"], content["request"]["evidence"]) == (2, 2)
    assert " --evidence 2 " in " ".join(content["origin"]["command"])
    assert list(content["cost"]["milliseconds"])[:2] == ["first-embed", "first-dense"]
    with gzip.open(file.with_name(content["files"]["details"]), "rt") as lines:
        details = [json.loads(line) for line in lines]
    assert [len(line["evidence"]) for line in details] == [2, 2]
    found = t1("replay", file, "--json").json()
    assert (found["equal"], found["changed"]) == (True, [])


def test_rounds_of_reading_are_replayed(t1: T1Command, copy: Path, model: str) -> None:
    arguments = ("--model", model, "--think", "4", "--evidence", "2", "--rounds", "3")
    file = kept(t1, copy, *arguments)
    content = json.loads(file.read_text())
    assert content["system"]["name"] == "model@4-evidence-2-rounds-3"
    assert content["request"]["rounds"] == 3
    assert " --rounds 3 " in " ".join(content["origin"]["command"])
    assert "rounds" in content["cost"]["milliseconds"]
    assert t1("replay", file, "--json").json()["equal"] is True


def test_changed_weights_are_named(t1: T1Command, copy: Path, model: str, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "mine")
    file = kept(t1, copy, "--model", "mine")
    shutil.rmtree(tmp_path / "mine")
    shutil.move(small_checkpoint(tmp_path / "other", seed=1), tmp_path / "mine")
    ran = t1("replay", file)
    assert ran.code == 1
    assert "changed since: weights" in ran.err.splitlines()
    assert "not the same" in ran.out


def test_changed_data_are_named(t1: T1Command, copy: Path) -> None:
    file = kept(t1, copy, "--system", "bm25")
    with (copy / "corpus.jsonl").open("a") as stream:
        stream.write(json.dumps({"_id": "new", "text": "Ice cubes crack, ice cubes crack."}) + "\n")
    ran = t1("replay", file)
    assert ran.code == 1
    assert "changed since: corpus.jsonl" in ran.err.splitlines()
    rewritten = write_lines(Path("other.jsonl"), [{"_id": q, "text": "salt"} for q in ("q1", "q2")])
    file = kept(t1, copy, "--system", "bm25", "--rewritten", rewritten)
    write_lines(rewritten, [{"_id": q, "text": "ice"} for q in ("q1", "q2")])
    assert "changed since: rewritten" in t1("replay", file).err.splitlines()


def test_other_numbers_are_found(t1: T1Command, copy: Path) -> None:
    file = kept(t1, copy, "--system", "bm25")

    def lower(content: dict[str, Any]) -> None:
        content["per_query"]["ndcg@10"]["q1"] -= 0.01

    edit(file, lower)
    assert t1("replay", file).code == 1
    assert t1("replay", file, "--tolerance", "0.02").code == 0
    edit(file, lambda content: content["per_query"]["ndcg@10"].update(q1=1.0))
    assert t1("replay", file).code == 0
    run = file.with_name(f"{file.stem}.run.gz")
    run.unlink()
    ran = t1("replay", file)
    assert ran.code == 0
    assert "the old run has not been kept" in ran.out
    run.write_text("q1 Q0 ice 1 9.0 x\nq2 Q0 salt 1 9.0 x\n")
    shutil.move(run, plain := run.with_suffix(""))
    edit(file, lambda content: content["files"].update(run=plain.name))
    assert t1("replay", file).code == 1


def test_wrong_input(t1: T1Command, copy: Path, tmp_path: Path) -> None:
    assert "cannot be read" in t1("replay", tmp_path / "none.json").error()
    file = kept(t1, copy, "--system", "bm25")
    shutil.move(copy, "gone")
    assert "no split 'dev'" in t1("replay", file).error()
    edit(file, lambda content: content.update(request={}))
    assert 'the field "request"' in t1("replay", file).error()


def test_a_result_that_names_no_model_means_the_one_of_its_time(
    t1: T1Command, copy: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thought1.evaluation.results.models import SystemRecord
    from thought1.evaluation.results.replay import model_of_its_time

    def system(name: str, kind: str = "t1") -> SystemRecord:
        facts = {"name": name, "kind": kind, "revision": "1", "mode": "dense"}
        return SystemRecord(**facts, think=None, weights=None, settings=None)

    assert model_of_its_time(system("t1-nano@16-hybrid")) == "t1-nano"
    assert model_of_its_time(system("t1-mini-companion@48")) == "t1-mini-companion"  # of an index
    assert model_of_its_time(system("some-folder@16")) == "t1-nano"
    assert model_of_its_time(system("index-bm25", "bm25")) is None
    file = kept(t1, copy, "--model", model, "--no-think")
    edit(file, lambda content: content["request"].update(model=None))
    monkeypatch.setenv("T1_MODEL", "/nowhere")
    monkeypatch.setattr("thought1.evaluation.run.model_of_its_time", lambda _: model)
    assert t1("replay", file).code == 0
