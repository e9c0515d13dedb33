"""`score_run` against pytrec_eval called directly, its rules, its refusals, and the pages on it."""

import gzip
import math
import random
import re
from pathlib import Path

import pytest

from thought1.data.trec import read_exclusions, read_qrels, read_run
from thought1.evaluation.statistics.score import SCORE_MEASURES, ScoringRules, score_run
from thought1.types import Qrels, Run, Thought1Error

pytest.importorskip("ir_measures")
pytrec_eval = pytest.importorskip("pytrec_eval")

PAGES = Path(__file__).resolve().parents[2] / "docs" / "metrics"
OFFICIAL = {
    "ndcg@10": "ndcg_cut_10",
    "recall@1": "recall_1",
    "recall@100": "recall_100",
    "mrr": "recip_rank",
}

RUN: Run = {"q1": {"a": 3.0, "b": 2.0, "c": 1.0}, "q2": {"x": 2.0, "y": 1.0}}
QRELS: Qrels = {"q1": {"b": 1}, "q2": {"y": 2, "z": 1, "x": 0}}


def official(run: Run, qrels: Qrels) -> dict[str, dict[str, float]]:
    """Query id -> our name of the measure -> value, by pytrec_eval alone."""
    wanted = {"ndcg_cut.10", "recall.1,100", "recip_rank"}
    found = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    return {
        query: {ours: values[theirs] for ours, theirs in OFFICIAL.items()}
        for query, values in found.items()
    }


def generated(seed: int, queries: int = 40, documents: int = 400) -> tuple[Run, Qrels]:
    """Graded judgements and runs of 5 to 250 documents whose scores have many ties."""
    rng = random.Random(seed)
    ids = [str(number) for number in range(documents)]
    run: Run = {}
    qrels: Qrels = {}
    for number in range(queries):
        query = f"q{number}"
        qrels[query] = {doc: rng.randint(-1, 3) for doc in rng.sample(ids, rng.randint(1, 30))}
        qrels[query][rng.choice(ids)] = rng.randint(1, 3)
        found = rng.sample(ids, rng.randint(5, 250))
        # A document of a higher grade tends to a higher score, so that no measure is 0 for all.
        run[query] = {doc: (rng.randint(0, 20) + 4 * qrels[query].get(doc, 0)) / 7 for doc in found}
    return run, qrels


def write_files(folder: Path, run: Run, qrels: Qrels) -> tuple[Path, Path]:
    """Packed TREC files, the documents in no order and the ranks senseless."""
    rows = [f"{q} Q0 {d} 7 {s!r} tag\n" for q, found in run.items() for d, s in found.items()]
    grades = [f"{q} 0 {d} {g}\n" for q, found in qrels.items() for d, g in found.items()]
    paths = folder / "run.gz", folder / "qrels.gz"
    for path, lines in zip(paths, (rows, grades), strict=True):
        path.write_bytes(gzip.compress("".join(lines).encode()))
    return paths


@pytest.mark.parametrize("seed", range(5))
def test_equals_pytrec_eval_through_files(tmp_path: Path, seed: int) -> None:
    run, qrels = generated(seed)
    run_file, qrels_file = write_files(tmp_path, run, qrels)
    found = score_run(read_run(run_file), read_qrels(qrels_file))
    theirs = official(run, qrels)
    assert found.by_query().keys() == theirs.keys()
    for query, values in theirs.items():
        assert found.by_query()[query] == pytest.approx(values, abs=1e-12)
    for name in SCORE_MEASURES:
        mean = math.fsum(values[name] for values in theirs.values()) / len(theirs)
        assert found.evaluation.metrics[name] == pytest.approx(mean, abs=1e-12)
        assert 0 < mean < 1  # the runs are neither perfect nor useless


def test_exclusions_equal_a_run_without_these_documents() -> None:
    run, qrels = generated(seed=9)
    excluded = {
        query: {doc for doc in found if qrels[query].get(doc, 0) < 1 and int(doc) % 2}
        for query, found in run.items()
    }
    without = {
        query: {doc: score for doc, score in found.items() if doc not in excluded[query]}
        for query, found in run.items()
    }
    found = score_run(run, qrels, rules=ScoringRules(excluded=excluded))
    for query, values in official(without, qrels).items():
        assert found.by_query()[query] == pytest.approx(values, abs=1e-12)
    assert found.removed == sum(map(len, run.values())) - sum(map(len, without.values())) > 0
    assert found.short == sum(len(scores) < 100 for scores in without.values())
    assert found.evaluation.metrics["ndcg@10"] > score_run(run, qrels).evaluation.metrics["ndcg@10"]


def test_mrr_has_no_cut() -> None:
    run = {"q": {f"d{number:04}": -float(number) for number in range(2000)}}
    found = score_run(run, {"q": {"d1499": 1}}, ["mrr", "mrr@1000", "mrr@1500", "recall@1000"])
    assert found.evaluation.metrics == {
        "mrr": pytest.approx(1 / 1500),
        "mrr@1000": 0.0,
        "mrr@1500": pytest.approx(1 / 1500),
        "recall@1000": 0.0,
    }


def test_missing_queries() -> None:
    qrels = {**QRELS, "q3": {"a": 1}, "q4": {"a": 1}}
    with pytest.raises(Thought1Error, match=r"lacks 2 of the 4 judged queries: q3, q4;.*--missing"):
        score_run(RUN, qrels)
    zero = score_run(RUN, qrels, ["mrr"], ScoringRules("zero"))
    skip = score_run(RUN, qrels, ["mrr"], ScoringRules("skip"))
    assert (zero.evaluation.metrics, zero.evaluation.queries) == ({"mrr": 0.25}, 4)
    assert (skip.evaluation.metrics, skip.evaluation.queries) == ({"mrr": 0.5}, 2)
    assert zero.missing == skip.missing == 2
    assert score_run(RUN, QRELS, ["mrr"], ScoringRules("zero")).missing == 0


def test_what_is_left_out_is_counted() -> None:
    found = score_run({**RUN, "other": {"a": 1.0}}, QRELS, ["ndcg@3", "mrr"])
    assert (found.unjudged, found.removed, found.short) == (1, 0, 1)  # q2 has two documents
    content = found.to_json()
    assert content.keys() == {
        *("metrics", "ci", "queries", "missing", "unjudged", "removed", "short"),
        *("relevant_excluded", "unjudged_excluded", "identical_ids", "unretrieved"),
    }
    assert content["queries"] == 2
    table = found.to_json(per_query=True)["per_query"]
    assert table.keys() == {"q1", "q2"} and table["q1"].keys() == {"ndcg@3", "mrr"}


def test_a_query_whose_documents_are_all_excluded_counts_zero() -> None:
    found = score_run(
        RUN, {"q1": {"a": 1}}, ["mrr"], ScoringRules(excluded={"q1": {"a", "b", "c"}})
    )
    assert (found.evaluation.metrics, found.removed) == ({"mrr": 0.0}, 3)


@pytest.mark.parametrize("missing", ["error", "zero", "skip"])
@pytest.mark.parametrize(
    ("run", "qrels", "message"),
    [
        ({}, QRELS, "the run is empty"),
        (
            {"7": {"a": 1.0}},
            QRELS,
            'none of the 2 judged queries: .* such as "7", the qrels "q1" and "q2"',
        ),
        (RUN, {"q1": {"a": 0}, "q2": {"b": -1}}, "no query with a relevant document"),
        (RUN, {**QRELS, "q0": {"a": 0}}, "1 of the 3 judged queries .* no relevant .*: q0; take"),
        ({**RUN, "q1": {"a": math.nan}}, QRELS, "NaN"),
        (
            {"q1": {"msmarco_7": 1.0}, "q2": {"msmarco_8": 1.0}},
            {"q1": {"7": 1}, "q2": {"8": 1}},
            'it has "msmarco_7" and "msmarco_8", the qrels "7" and "8"; check',
        ),
    ],
)
def test_refused(run: Run, qrels: Qrels, message: str, missing) -> None:
    with pytest.raises(Thought1Error, match=message):
        score_run(run, qrels, rules=ScoringRules(missing))


def test_exclusions_of_other_queries_are_refused() -> None:
    with pytest.raises(Thought1Error, match="for 1 queries that the qrels lack, and for no other"):
        score_run(RUN, QRELS, rules=ScoringRules(excluded={"q9": {"a"}}))
    found = score_run(RUN, QRELS, rules=ScoringRules(excluded={"q9": {"a"}, "q2": {"x"}}))
    assert (found.removed, found.unjudged_excluded, found.relevant_excluded) == (1, 1, 0)


def test_an_excluded_relevant_document_stays_in_the_ideal() -> None:
    found = score_run(RUN, QRELS, ["ndcg@10"], ScoringRules(excluded={"q2": {"y", "none"}}))
    assert (found.removed, found.relevant_excluded) == (1, 1)
    without = {**RUN, "q2": {"x": 2.0}}
    assert found.by_query()["q2"]["ndcg@10"] == official(without, QRELS)["q2"]["ndcg@10"] == 0


def test_unknown_measures_are_refused() -> None:
    with pytest.raises(Thought1Error, match=r"unknown measure 'map': use one of .* or mrr"):
        score_run(RUN, QRELS, ["map"])


@pytest.mark.parametrize("page", ["ndcg.md", "recall.md", "mrr.md"])
def test_the_pages_are_right(tmp_path: Path, page: str) -> None:
    """Each block `values` is about the last run and qrels, and the exclusions just before it."""
    text = (PAGES / page).read_text(encoding="utf-8")
    files: dict[str, Path] = {}
    examples = 0
    for kind, block in re.findall(r"```(qrels|run|exclude|values)\n(.*?)```", text, re.DOTALL):
        if kind != "values":
            files[kind] = tmp_path / kind
            files[kind].write_text(block)
            continue
        expected = {name: float(value) for name, value in map(str.split, block.splitlines())}
        exclusions = read_exclusions(files.pop("exclude")) if "exclude" in files else {}
        run, qrels = read_run(files["run"]), read_qrels(files["qrels"])
        found = score_run(run, qrels, list(expected), ScoringRules(excluded=exclusions))
        assert found.evaluation.metrics == pytest.approx(expected, abs=5e-6)
        assert any(value > 0 for value in expected.values())
        examples += 1
    assert examples == 3


def test_a_document_with_the_id_of_its_query_can_be_left_out() -> None:
    run: Run = {"q": {"q": 3.0, "d": 2.0}, "r": {"e": 1.0}}
    qrels: Qrels = {"q": {"d": 1}, "r": {"e": 1}}
    seen = score_run(run, qrels, ["recall@1"])
    assert (seen.evaluation.metrics["recall@1"], seen.identical) == (0.5, 1)
    without = score_run(run, qrels, ["recall@1"], ScoringRules(ignore_identical_ids=True))
    assert (without.evaluation.metrics["recall@1"], without.identical) == (1.0, 1)
    excluded = score_run(run, qrels, ["recall@1"], ScoringRules(excluded={"q": {"q"}}))
    assert (excluded.identical, excluded.removed) == (0, 1)


def test_exclusions_of_other_ids_are_refused() -> None:
    with pytest.raises(Thought1Error, match=r'none of the 1 excluded .*, the exclusions "A"'):
        score_run(RUN, QRELS, rules=ScoringRules(excluded={"q1": {"A"}}))
