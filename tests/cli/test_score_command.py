"""`t1 score`: the report as text and as JSON, a real run, and what it refuses."""

import gzip
import math
from pathlib import Path

import pytest
from t1_command import T1Command, write_lines

from thought1.data.formats import read_qrels, read_run

pytest.importorskip("ir_measures")
pytrec_eval = pytest.importorskip("pytrec_eval")

RUN = "q1 Q0 a 1 3 x\nq1 Q0 b 2 2 x\nq2 Q0 x 1 1 x\nq2 Q0 y 2 1 x\nq7 Q0 a 1 1 x\n"
QRELS = "query-id\tcorpus-id\tscore\nq1\tb\t1\nq2\ty\t2\n"


@pytest.fixture
def files(tmp_path: Path) -> list[object]:
    run, qrels = tmp_path / "run.gz", tmp_path / "dev.tsv"
    run.write_bytes(gzip.compress(RUN.encode()))
    qrels.write_text(QRELS)
    return ["score", "--run", run, "--qrels", qrels]


def test_json(t1: T1Command, files: list[object]) -> None:
    report = t1(*files, "--json").json()
    assert report["metrics"] == {
        "ndcg@10": pytest.approx((1 / math.log2(3) + 1) / 2, abs=1e-12),  # y wins its tie with x
        "recall@1": 0.5,
        "recall@100": 1.0,
        "mrr": 0.75,
    }
    assert report["ci"].keys() == report["metrics"].keys()
    assert (report["queries"], report["unjudged"], report["missing"]) == (2, 1, 0)
    assert "per_query" not in report
    table = t1(*files, "--json", "--per-query", "--metrics", "mrr, mrr@1").json()["per_query"]
    assert table == {"q1": {"mrr": 0.5, "mrr@1": 0.0}, "q2": {"mrr": 1.0, "mrr@1": 1.0}}


def test_text(t1: T1Command, files: list[object], tmp_path: Path) -> None:
    excluded = write_lines(tmp_path / "x.jsonl", [{"_id": "q1", "excluded_ids": ["N/A", "a"]}])
    qrels = tmp_path / "more.tsv"
    qrels.write_text(QRELS + "q3\tb\t1\n")
    arguments = [*files, "--qrels", qrels, "--exclude", excluded, "--missing", "zero"]
    out = t1(*arguments, "--per-query").out
    assert "recall@1    0.66667" in out
    assert "3 queries\n1 judged queries are not in the run: counted as 0\n" in out
    assert "1 queries of the run are not judged: left out\n" in out
    assert "1 excluded documents were removed from the run\n" in out
    assert "3 queries have fewer documents than the deepest cut" in out
    assert "\nq1\t1.00000\t1.00000\t1.00000\t1.00000\n" in out
    excluded.write_text("q1 b\nq9 b\n")
    out = t1(*arguments).out
    assert "1 excluded documents are judged relevant" in out
    assert "1 queries with exclusions are not judged: left out\n" in out
    skipped = t1(*arguments[:-1], "skip")
    assert "2 queries\n1 judged queries are not in the run: left out of the mean\n" in skipped.out


def test_refused(t1: T1Command, files: list[object], tmp_path: Path) -> None:
    def refused(option: str, content: str) -> str:
        path = tmp_path / "given"
        path.write_text(content)
        return t1(*files, option, path, "--json").error()

    assert "given:2: the document has occurred before" in refused("--run", "q Q0 d 1 2 x\n" * 2)
    assert "must be a number, not" in refused("--run", "q1 Q0 d 1 nan x\n")
    assert "must be a number, not" in refused("--run", "q1 Q0 d 1 inf x\n")
    assert "the run is empty" in refused("--run", "")
    assert "lacks 1 of the 2 judged queries: q2;" in refused("--run", "q1 Q0 d 1 2 x\n")
    assert "no query with a relevant document" in refused("--qrels", "q1 0 a 0\n")
    assert "have no relevant document" in refused("--qrels", "q1 0 a 0\nq2 0 x 1\n")
    assert 'the exclusions name "q9", the qrels' in refused("--exclude", "q9 a\n")
    assert "unknown measure 'map'" in t1(*files, "--metrics", "mrr,map").error()
    assert "unknown measure ''" in t1(*files, "--metrics", "").error()
    assert "cannot be read" in t1(*files, "--run", tmp_path / "none").error()


def test_a_real_run(t1: T1Command, shared_data: Path, tmp_path: Path) -> None:
    """BM25 on EntailmentBank's dev questions, against pytrec_eval over the same two files."""
    folder = shared_data / "entailmentbank"
    qrels_file, run_file = folder / "qrels" / "dev.tsv", tmp_path / "bm25.run"
    asked = ["evaluate", folder, "--split", "dev", "--mode", "bm25", "--run", run_file]
    reported = t1(*asked, "--no-results", "--json").json()["metrics"]
    found = t1("score", "--run", run_file, "--qrels", qrels_file, "--json", "--per-query").json()
    qrels = read_qrels(qrels_file)
    wanted = {"ndcg_cut.10", "recall.1,100", "recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(read_run(run_file))
    assert found["per_query"].keys() == theirs.keys() == qrels.keys()
    names = {"ndcg@10": "ndcg_cut_10", "recall@1": "recall_1", "recall@100": "recall_100"}
    for ours, official in (names | {"mrr": "recip_rank"}).items():
        mean = sum(values[official] for values in theirs.values()) / len(theirs)
        assert found["metrics"][ours] == pytest.approx(mean, abs=1e-9)
        for query, values in theirs.items():
            assert found["per_query"][query][ours] == pytest.approx(values[official], abs=1e-9)
    for name in names:
        assert found["metrics"][name] == pytest.approx(reported[name], abs=1e-12)
    assert found["metrics"]["ndcg@10"] > 0.2
