"""`t1 bright`: the table, the object, the rankings, the cache, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bright_files import LONG_NOTES, NOTES, QUERIES, write_documents, write_examples, write_subset
from t1_command import T1Command

from thought1.data.bright import instruction_for
from thought1.data.formats import read_run
from thought1.t1 import T1

PROTOCOLS = ["official", "mteb", "adjusted", "legacy"]


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
    assert len(before) == 2
    assert t1(*some).json() == first
    assert kept() == before
    t1(*some, "--no-think").json()
    assert len(kept()) == 3  # queries only: no document depends on the budget
    write_subset(tmp_path / "other", documents={**NOTES, "bees/bees_0.txt": "Bees sleep."})
    t1("bright", tmp_path / "other", *some[2:]).json()
    assert len(kept()) == 4  # documents only


def test_refused(t1: T1Command, tmp_path: Path, folder: Path) -> None:
    def refused(*arguments: object) -> str:
        return t1("bright", *arguments).error()

    assert 'no subset "botany"' in refused(folder, "--subset", "biology", "--subset", "botany")
    assert "aops has no long documents" in refused(folder, "--subset", "aops", "--long")
    assert 'no query set "gpt5"' in refused(folder, "--queries", "gpt5")
    assert "lacks examples/pony-" in refused(folder, "--subset", "pony")
    assert "not a hub id" in refused(tmp_path / "none")
    assert "could not deliver" in refused("xlangai/BRIGHT", "--subset", "biology")
    assert "is no folder" in refused(folder, "--run-dir", tmp_path / "none")
    assert "contradict" in refused(folder, "--think", "1", "--no-think")
