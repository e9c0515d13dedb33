"""`evaluate` and `replay` in Python: what the commands find, and what they refuse."""

import json
from pathlib import Path

import pytest
from t1_command import T1Command, write_lines

from thought1.evaluation.request import Request
from thought1.evaluation.results.files import read_result
from thought1.evaluation.run import Outputs, evaluate, replay
from thought1.types import Thought1Error


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "notes"
    (path / "qrels").mkdir(parents=True)
    texts = {"q": "Ice cubes crack in warm water.", "salt": "Salt lowers the freezing point."}
    write_lines(path / "corpus.jsonl", [{"_id": i, "text": text} for i, text in texts.items()])
    write_lines(path / "queries.jsonl", [{"_id": "q", "text": "salt and ice in water"}])
    (path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\tsalt\t1\n")
    return path


@pytest.mark.parametrize("system", ["bm25", "bm25-query"])
def test_python_finds_what_the_command_finds(
    t1: T1Command, folder: Path, tmp_path: Path, system: str
) -> None:
    done = evaluate(
        Request(str(folder), "dev", system=system),
        Outputs(tmp_path / "python", tmp_path / "run", price=2.0),
    )
    some = ["evaluate", folder, "--split", "dev", "--system", system, "--price", "2", "--json"]
    report = t1(*some, "--results", tmp_path / "command").json()
    assert done.result.metrics == report["metrics"]
    assert done.path is not None and done.problem is None
    kept, other = read_result(done.path).to_json(), read_result(Path(report["result"])).to_json()
    for name in ("task", "system", "metrics", "ci", "queries", "per_query", "request", "checks"):
        assert kept[name] == other[name]
    assert kept["origin"]["command"] == other["origin"]["command"]
    assert (tmp_path / "run").read_text().startswith("q Q0 ")
    again = replay(done.path)
    assert (again.comparison.equal, again.changed, again.skipped) == (True, (), ())


def test_a_documents_own_id_leaves_its_ranking(folder: Path) -> None:
    plain = evaluate(Request(str(folder), "dev", system="bm25"))
    ignoring = evaluate(Request(str(folder), "dev", system="bm25", ignore_identical_ids=True))
    assert plain.measured.run["q"].keys() == {"q", "salt"}
    assert ignoring.measured.run["q"].keys() == {"salt"}
    assert ignoring.result.checks is not None
    assert ignoring.result.checks["removed_identical"] == 1
    assert (plain.path, ignoring.path) == (None, None)  # nothing is kept unless asked for


def test_fields_are_named_as_in_python(folder: Path) -> None:
    with pytest.raises(Thought1Error, match=r"^samples is for the system t1, not for bm25$"):
        evaluate(Request(str(folder), "dev", system="bm25", samples=2))
    with pytest.raises(Thought1Error, match=r"^curve studies the model's vectors: leave mode"):
        evaluate(Request(str(folder), "dev", mode="bm25", curve="0,8"))


def test_what_changed_is_told(folder: Path, tmp_path: Path) -> None:
    done = evaluate(Request(str(folder), "dev", system="bm25"), Outputs(tmp_path / "results"))
    assert done.path is not None
    with (folder / "corpus.jsonl").open("a") as stream:
        stream.write(json.dumps({"_id": "new", "text": "Salt and ice, ice and water."}) + "\n")
    told: list[str] = []
    again = replay(done.path, on_change=told.append)
    assert told == list(again.changed) == ["corpus.jsonl"]
    assert not again.comparison.equal
