"""`t1 compare`: one pair, several subsets, the queries behind a difference, what it refuses."""

from pathlib import Path

import pytest
from t1_command import T1Command, write_lines

pytest.importorskip("ir_measures")

QUERIES = 12


def write_run(path: Path, places: list[int]) -> Path:
    """The relevant document "r" of each query at this place (from 1 on) among four."""
    lines = []
    for number, place in enumerate(places):
        docs = ["d0", "d1", "d2"]
        docs.insert(place - 1, "r")
        lines += [f"q{number} Q0 {doc} 0 {9 - rank} x\n" for rank, doc in enumerate(docs)]
    path.write_text("".join(lines))
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A run that is better on ten queries and worse on one, another run, and the qrels."""
    a = write_run(tmp_path / "a.run", [1] * 10 + [4, 2])
    b = write_run(tmp_path / "b.run", [3] + [2] * 9 + [1, 2])
    qrels = tmp_path / "dev.tsv"
    qrels.write_text("".join(f"q{number} 0 r 1\n" for number in range(QUERIES)))
    return a, b, qrels


def test_one_pair(t1: T1Command, tmp_path: Path, files: tuple[Path, Path, Path]) -> None:
    a, b, qrels = files
    queries = write_lines(tmp_path / "q.jsonl", [{"_id": "q0", "text": "Why is\nice slippery?"}])
    of_a = write_lines(tmp_path / "ta", [{"_id": "q0", "thought": "A film of water."}])
    of_b = write_lines(tmp_path / "tb", [{"_id": "q10", "text": "Salt."}])
    texts = ["--queries", queries, "--thoughts-a", of_a, "--thoughts-b", of_b, "--top", "2"]
    arguments = ["compare", a, b, "--qrels", qrels, "--metric", "mrr", *texts]
    report = t1(*arguments, "--json").json()
    assert report["metric"] == "mrr"
    assert report["macro"]["difference"] == pytest.approx(
        report["macro"]["a"] - report["macro"]["b"]
    )
    assert report["subsets"].keys() == {"main"}
    found = report["subsets"]["main"]
    assert found["a"]["mean"] == pytest.approx((10 + 1 / 4 + 1 / 2) / 12)
    assert found["b"]["mean"] == pytest.approx((1 / 3 + 9 / 2 + 1 + 1 / 2) / 12)
    assert found["difference"]["ci"][0] < found["difference"]["mean"] < found["difference"]["ci"][1]
    assert (found["wins"], found["ties"], found["losses"]) == (10, 1, 1)
    assert found["exact"] and found["p"] == found["holm"] < 0.05
    assert found["best"] == [
        {
            "_id": "q0",
            "a": 1.0,
            "b": pytest.approx(1 / 3),
            "query": "Why is\nice slippery?",
            "thought_a": "A film of water.",
            "thought_b": None,
        },
        {"_id": "q1", "a": 1.0, "b": 0.5, "query": None, "thought_a": None, "thought_b": None},
    ]
    assert [row["_id"] for row in found["worst"]] == ["q10"]
    out = t1(*arguments).out
    assert f"A - B {found['difference']['mean']:+.4f}" in out and "10/1/1" in out
    assert "  1.000 0.333  q0  Why is ice slippery?\n      thought A: A film of water.\n" in out
    assert "main: B is better\n  0.250 1.000  q10\n      thought B: Salt.\n" in out
    assert "Holm" not in out
    assert "is better" not in t1(*arguments, "--top", "0").out


def test_subsets(t1: T1Command, tmp_path: Path, files: tuple[Path, Path, Path]) -> None:
    a, b, qrels = files
    excluded = tmp_path / "x.tsv"
    excluded.write_text("q0\td0\n")
    arguments = ["compare", "--subset", f"one={a},{b},{qrels}"]
    arguments += ["--subset", f"two={a},{b},{qrels},{excluded}", "--metric", "mrr"]
    report = t1(*arguments, "--json").json()
    one, two = report["subsets"]["one"], report["subsets"]["two"]
    assert one["holm"] == pytest.approx(max(2 * min(one["p"], two["p"]), one["p"]))
    assert two["b"]["mean"] - one["b"]["mean"] == pytest.approx((1 / 2 - 1 / 3) / 12)
    assert report["macro"]["b"] == pytest.approx((one["b"]["mean"] + two["b"]["mean"]) / 2)
    assert "thought_a" not in one["best"][0]
    out = t1(*arguments).out
    assert "Holm" in out and "mean of 2 subsets: A 0.8958" in out
    beside = t1(*arguments, a, b, "--qrels", qrels, "--json").json()
    assert list(beside["subsets"]) == ["main", "one", "two"]
    assert beside["subsets"]["main"]["p"] == one["p"]


def test_seed(t1: T1Command, files: tuple[Path, Path, Path]) -> None:
    a, b, qrels = files
    intervals = [
        t1("compare", a, b, "--qrels", qrels, "--seed", seed, "--json").json()["subsets"]["main"]
        for seed in (0, 0, 1)
    ]
    assert intervals[0] == intervals[1] != intervals[2]


def test_refused(t1: T1Command, tmp_path: Path, files: tuple[Path, Path, Path]) -> None:
    a, b, qrels = files

    def refused(*arguments: object) -> str:
        return t1("compare", *arguments).error()

    assert "nothing to compare" in refused()
    assert "only valid together" in refused(a, b)
    assert "only valid together" in refused(a, "--qrels", qrels)
    assert "needs the form NAME=RUN_A,RUN_B,QRELS" in refused("--subset", f"one={a},{b}")
    assert "needs the form" in refused("--subset", f"{a},{b},{qrels}")
    twice = ["--subset", f"one={a},{b},{qrels}"] * 2
    assert "the subset 'one' is given twice" in refused(*twice)
    assert "belong to RUN_A and RUN_B" in refused(*twice[:2], "--exclude", qrels)
    assert "unknown measure 'map'" in refused(a, b, "--qrels", qrels, "--metric", "map")
    short = write_run(tmp_path / "short", [1])
    assert "main, second run: the run lacks 11 of the 12" in refused(a, short, "--qrels", qrels)
    found = t1("compare", a, short, "--qrels", qrels, "--missing", "zero", "--json").json()
    assert found["subsets"]["main"]["b"]["mean"] == pytest.approx(1 / QUERIES)
    assert "cannot be read" in refused(a, tmp_path / "none", "--qrels", qrels)
