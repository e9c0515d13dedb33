"""`t1 bright`: the table, the object, the rankings, the cache, and what it refuses."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bright_files import LONG_NOTES, NOTES, QUERIES, write_documents, write_examples, write_subset
from t1_command import T1Command, read_content

from thought1.data.bright import instruction_for
from thought1.data.formats import read_run
from thought1.evaluation.results.files import read_result, read_result_run
from thought1.export import export_sentence_transformers
from thought1.t1 import T1

PROTOCOLS = ["official", "mteb", "adjusted", "legacy"]


@pytest.fixture(autouse=True)
def working_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Results are kept in the working directory unless told otherwise."""
    folder = tmp_path_factory.mktemp("work")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_subset(tmp_path_factory.mktemp("bright"))
    write_subset(folder, "aops", examples=[replace(q, excluded=["gone"]) for q in QUERIES])
    write_documents(folder, "biology", LONG_NOTES, config="long_documents")
    write_examples(folder, "biology", QUERIES[:1], config="gpt4_reason")
    return folder


def test_bright(t1: T1Command, tmp_path: Path, folder: Path, model: str) -> None:
    some = ["bright", folder, "--subset", "biology", "--subset", "aops", "--model", model]
    report = t1(*some, "--no-think", "--json", "--run-dir", tmp_path).json()
    assert (report["track"], report["complete"]) == ("original queries", False)
    assert list(report["subsets"]) == ["biology", "aops"]
    assert (report["model"], report["think"]) == (model, 0)
    assert report["instructions"]["aops"] == instruction_for("official", "aops")
    assert list(report["average"]) == list(report["differences"]) == PROTOCOLS
    assert set(report["hashes"]["aops"]) == {
        "examples/aops-00000-of-00001.parquet", "documents/aops-00000-of-00001.parquet"
    }  # fmt: skip
    assert report["subsets"]["aops"]["missing_excluded"] == 2

    loaded = T1.from_pretrained(model)
    sentence = instruction_for("official", "biology")
    queries = loaded.encode_query([q.query for q in QUERIES], budget=0, instruction=sentence)
    scores = np.asarray(queries) @ np.asarray(loaded.encode_document(list(NOTES.values()))).T
    run = read_run(tmp_path / "biology.run")
    expected = dict(zip(NOTES, scores[1].tolist(), strict=True))
    del expected["rope/rope_0.txt"]
    assert run["1"] == pytest.approx(expected, abs=1e-5)
    assert run["0"].keys() == NOTES.keys()

    ran = t1(*some, "--no-think")
    official = report["average"]["official"]["ndcg@10"]
    assert f"{100 * official:.1f}" in ran.out
    assert "average of these 2" in ran.out
    for name in PROTOCOLS:
        assert f"\n{name}: {report['differences'][name]}\n" in ran.out
    assert "aops: 2 excluded ids are not among the documents" in ran.err


def test_long_and_rewritten(t1: T1Command, folder: Path, model: str) -> None:
    some = ["bright", folder, "--subset", "biology", "--model", model, "--think", "2"]
    ran = t1(*some, "--long")
    assert "recall@1 x 100" in ran.out
    assert "long documents, original queries" in ran.out
    assert "short documents, rewritten: gpt4_reason" in t1(*some, "--queries", "gpt4_reason").out


def test_instructions(t1: T1Command, folder: Path, model: str) -> None:
    some = ["bright", folder, "--subset", "aops", "--model", model, "--json", "--instruction"]
    sentences = [t1(*some, name).json()["instructions"]["aops"] for name in ("generic", "Find it")]
    assert sentences == [instruction_for("generic", "aops"), "Find it"]


def test_cache(t1: T1Command, tmp_path: Path, folder: Path, model: str) -> None:
    some = [
        "bright",
        folder,
        "--subset",
        "biology",
        "--model",
        model,
        "--json",
        "--cache",
        tmp_path,
    ]

    def kept() -> set[Path]:
        return set(tmp_path.rglob("*.vectors"))

    first = t1(*some).json()
    before = kept()
    assert len(before) == 1  # documents; queries are thought about each time
    assert t1(*some).json() == first
    assert kept() == before
    t1(*some, "--no-think", "--instruction", "generic").json()
    assert kept() == before  # no document depends on budget and instruction
    write_subset(tmp_path / "other", documents={**NOTES, "bees/bees_0.txt": "Bees sleep."})
    t1("bright", tmp_path / "other", *some[2:]).json()
    assert len(kept()) == 2


def test_refused(t1: T1Command, tmp_path: Path, folder: Path, model: str) -> None:
    def refused(*arguments: object) -> str:
        return t1("bright", *arguments).error()

    assert 'no subset "botany"' in refused(folder, "--subset", "biology", "--subset", "botany")
    assert "aops has no long documents" in refused(folder, "--subset", "aops", "--long")
    assert 'no query set "gpt5"' in refused(folder, "--queries", "gpt5")
    later = ["--subset", "biology", "--subset", "pony", "--results", tmp_path / "results"]
    assert "lacks examples/pony-" in refused(folder, *later)
    assert not (tmp_path / "results").exists()  # found out before anything was measured
    (tmp_path / "file").touch()
    assert "cannot be written: Not a directory" in refused(
        folder, "--subset", "biology", "--results", tmp_path / "file", "--model", model
    )
    assert "not a hub id" in refused(tmp_path / "none")
    assert "could not deliver" in refused("xlangai/BRIGHT", "--subset", "biology")
    assert "is not a folder" in refused(folder, "--run-dir", tmp_path / "none")
    assert "contradict" in refused(folder, "--think", "1", "--no-think")
    assert "there is no system 'bm26'" in refused(folder, "--subset", "biology", "--system", "bm26")
    for option in (["--think", 1], ["--no-think"], ["--model", "m"], ["--cache", tmp_path],
                   ["--instruction", "generic"]):  # fmt: skip
        assert " is for the system t1, not for bm25" in refused(folder, "--system", "bm25", *option)


def details_of(path: Path) -> list[dict[str, Any]]:
    name = read_content(path)["files"]["details"]
    with gzip.open(path.with_name(name), "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_a_result_for_each_subset(t1: T1Command, folder: Path, model: str) -> None:
    some = ["bright", folder, "--subset", "biology", "--subset", "aops", "--model", model]
    report = t1(*some, "--think", 3, "--price", 2, "--json").json()
    assert list(report["results"]) == ["biology", "aops"]
    path = Path(report["results"]["biology"])
    name = Path(model).name
    assert path.parts[:2] == ("results", f"{name}@3") and path.name == "bright-biology.json"
    content = read_content(path)
    assert content["task"] == {
        "name": "bright-biology", "kind": "bright", "folder": str(folder), "split": "examples",
        "queries": 2, "documents": 6, "hashes": report["hashes"]["biology"],
    }  # fmt: skip
    loaded = T1.from_pretrained(model)
    assert content["system"]["weights"] == loaded.weights_hash
    assert (content["system"]["kind"], content["system"]["think"]) == ("t1", 3)
    subset = report["subsets"]["biology"]
    assert content["protocols"] == subset["protocols"]
    for key in ("metrics", "ci", "queries", "per_query"):
        assert content[key] == subset["protocols"]["official"][key]
    sentence = instruction_for("official", "biology")
    assert content["bright"]["instruction"] == sentence
    assert (content["bright"]["copies_added"], content["bright"]["missing_excluded"]) == (1, 0)
    assert content["origin"]["command"] == [
        "t1", "bright", str(folder), "--subset", "biology", "--think", "3", "--model", model,
        "--instruction", "official",
    ]  # fmt: skip
    assert content["request"]["kind"] == "bright" and content["request"]["subset"] == "biology"

    thoughts = loaded.think([q.query for q in QUERIES], budget=3, instruction=sentence)
    cost = content["cost"]
    lengths = [len(thought.token_ids) for thought in thoughts]
    assert cost["thought_tokens"]["mean"] == pytest.approx(sum(lengths) / 2)
    assert cost["forced"] == sum(thought.forced for thought in thoughts) / 2
    assert cost["milliseconds"].keys() == {"think", "dense"}
    tokens = cost["prompt_tokens"] + cost["thought_tokens"]["mean"]
    assert cost["cost_per_1000_queries"] == pytest.approx(tokens * 2 / 1000)
    first, second = details_of(path)
    assert [line["thought"] for line in (first, second)] == [one.text for one in thoughts]
    assert [line["thought_tokens"] for line in (first, second)] == lengths
    assert (first["query"], first["relevant"]) == (QUERIES[0].query, ["kiln/kiln_0.txt"])
    assert [hit["text"] for hit in first["hits"]] == [NOTES[hit["id"]] for hit in first["hits"]]
    assert len(first["hits"]) == 6 and len(second["hits"]) == 5  # one is excluded
    run = read_result_run(path, read_result(path))
    assert run is not None and run["1"].keys() == NOTES.keys() - {"rope/rope_0.txt"}
    longer = t1(*some, "--think", 3, "--instruction", "word " * 9, "--json").json()
    other = read_content(Path(longer["results"]["biology"]))
    assert other["cost"]["prompt_tokens"] != cost["prompt_tokens"]
    assert other["system"]["settings"] != content["system"]["settings"]
    assert other["system"]["name"].startswith(f"{name}@3-")  # beside the first, not over it
    assert read_content(path) == content


def test_names_of_results(t1: T1Command, folder: Path, model: str, working_directory: Path) -> None:
    some = ["bright", folder, "--subset", "biology", "--model", model, "--no-think"]
    ran = t1(*some, "--long")
    assert ran.err.splitlines()[-1].startswith("result: results/")
    assert t1(*some, "--queries", "gpt4_reason").code == 0
    assert t1(*some, "--instruction", "generic", "--no-results").code == 0
    found = sorted(path.name for path in working_directory.rglob("*.json"))
    assert found == ["bright-biology-gpt4_reason.json", "bright-biology-long.json"]
    (long,) = working_directory.rglob("bright-biology-long.json")
    content = read_content(long)
    assert content["cost"]["thought_tokens"] == {"mean": 0.0, "p95": 0.0}
    assert {line["thought"] for line in details_of(long)} == {None}
    assert "--long" in content["origin"]["command"]


@pytest.mark.parametrize("kind", ["bm25", "bm25-query"])
def test_bm25(t1: T1Command, folder: Path, kind: str) -> None:
    some = ["bright", folder, "--subset", "biology", "--system", kind]
    report = t1(*some, "--json").json()
    assert (report["system"], report["model"], report["think"]) == (kind, None, None)
    assert report["instructions"] == {}
    content = read_content(Path(report["results"]["biology"]))
    assert content["per_query"]["recall@1"] == {"0": 1.0, "1": 0.0}  # a copy ties with the gold
    assert content["protocols"]["adjusted"]["metrics"]["ndcg@10"] == 1.0
    assert content["origin"]["command"] == [
        "t1", "bright", str(folder), "--subset", "biology", "--system", kind
    ]  # fmt: skip
    assert content["bright"]["instruction"] is None
    assert content["cost"]["milliseconds"].keys() == {"bm25"}


def test_sentence_transformer(t1: T1Command, folder: Path, tmp_path: Path, model: str) -> None:
    from sentence_transformers import SentenceTransformer

    export_sentence_transformers(T1.from_pretrained(model), tmp_path / "peer")
    some = ["bright", folder, "--subset", "biology", "--system", f"st:{tmp_path / 'peer'}"]
    report = t1(*some, "--json").json()
    content = read_content(Path(report["results"]["biology"]))
    assert (content["system"]["name"], content["system"]["kind"]) == ("peer", "st")
    assert content["system"]["weights"] is not None
    assert content["cost"]["prompt_tokens"] > 0
    assert content["cost"]["milliseconds"].keys() == {"embed", "dense"}
    peer = SentenceTransformer(str(tmp_path / "peer"))
    texts = list(NOTES.values())
    scores = peer.encode_document(texts) @ peer.encode_query(QUERIES[0].query)
    path = Path(report["results"]["biology"])
    run = read_result_run(path, read_result(path))
    assert run is not None
    assert run["0"] == pytest.approx(dict(zip(NOTES, scores.tolist(), strict=True)), abs=1e-5)


def test_report(t1: T1Command, folder: Path, model: str, tmp_path: Path) -> None:
    some = ["bright", folder, "--subset", "biology", "--subset", "aops", "--json"]
    t1(*some, "--model", model, "--think", "2").json()
    t1(*some, "--system", "bm25").json()
    assert t1("report", "results", "-o", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ("BRIGHT", "biology", "aops", "bm25", f"{Path(model).name}@2", QUERIES[0].query):
        assert text in page


def test_replay(t1: T1Command, tmp_path: Path, model: str) -> None:
    source = write_subset(tmp_path / "bright")
    some = ["bright", source, "--subset", "biology", "--model", model, "--think", 2, "--json"]
    path = t1(*some, "--instruction", "generic").json()["results"]["biology"]
    replayed = t1("replay", path, "--json").json()
    assert (replayed["equal"], replayed["changed"]) == (True, [])
    assert replayed["metrics"].keys() == {"ndcg@10", "recall@1"} and replayed["run"] == 0
    write_subset(source, documents={**NOTES, "kiln/kiln_0.txt": "Nothing about it."})
    again = t1("replay", path, "--json")
    assert again.code == 1 and not json.loads(again.out)["equal"]
    assert json.loads(again.out)["changed"] == ["documents/biology-00000-of-00001.parquet"]
    content = json.loads(Path(path).read_text())
    content["request"]["split"] = "gpt5"
    Path(path).write_text(json.dumps(content))
    assert 'no query set "gpt5"' in t1("replay", path).error()


def test_a_result_holds_the_model_that_was_not_named(
    t1: T1Command, folder: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("T1_MODEL", model)
    ran = t1("bright", folder, "--subset", "biology", "--no-think", "--json")
    assert ran.err.splitlines()[0] == f"no model is named: {model} (set by T1_MODEL)"
    (file,) = ran.json()["results"].values()
    assert read_content(Path(file))["request"]["model"] == model
