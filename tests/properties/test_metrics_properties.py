"""Our metrics, ir-measures and pytrec_eval give the same numbers, ties and grades included."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thought1.evaluation.statistics.protocol import evaluate
from thought1.metrics import evaluate_run
from thought1.types import Qrels, Run

ir_measures = pytest.importorskip("ir_measures")
pytrec_eval = pytest.importorskip("pytrec_eval")

MEASURES = ["mrr", *(f"{kind}@{k}" for kind in ("ndcg", "recall", "mrr") for k in (1, 2, 10, 100))]

# Few ids and few scores, so that judged documents are retrieved and ties are common; the scores
# also differ by less than float32 can tell, and beyond what it can hold.
docs = st.one_of(
    st.integers(0, 14).map(str),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs"]), min_size=1, max_size=2),
)
scores = st.one_of(
    st.sampled_from([0.0, -0.0, 0.5, 0.5 + 1e-9, 1.0, 1 + 1e-6, 1e39, 1e300, 1e-50, -1.0]),
    st.floats(allow_nan=False),
    st.floats(-1, 1, width=32),
)
grades = st.integers(-1, 4)
queries = st.sampled_from(["q1", "q2", "q10"])
runs = st.dictionaries(queries, st.dictionaries(docs, scores, max_size=25), max_size=3)
judgements = st.dictionaries(
    queries, st.dictionaries(docs, grades, min_size=1, max_size=8), max_size=3
)

many = settings(max_examples=200, deadline=None)


def close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9


@many
@given(runs, judgements)
@example({"q1": {"a": 1.0, "b": 1.0}}, {"q1": {"a": 1}})
def test_ndcg_and_recall_equal_ir_measures(run: Run, qrels: Qrels) -> None:
    """Given the raw scores, so this proves the order of ties too."""
    theirs = {
        f"{ours}@{k}": ir_measures.parse_measure(f"{name}@{k}")
        for ours, name in [("ndcg", "nDCG"), ("recall", "R")]
        for k in (1, 2, 10, 100)
    }
    names = {measure: name for name, measure in theirs.items()}
    ours = evaluate_run(run, qrels, list(theirs))
    found = list(ir_measures.iter_calc(list(names), qrels, run))
    assert len(found) == len(names) * len(qrels)
    for metric in found:
        assert close(ours[names[metric.measure]][metric.query_id], metric.value)


@many
@given(runs, judgements)
@example({"q1": {"a": 1.0, "b": 1.0}}, {"q1": {"a": 1}})
def test_reciprocal_rank_equals_pytrec_eval(run: Run, qrels: Qrels) -> None:
    """pytrec_eval has no cut-off: below rank k it must be equal, beyond it ours is 0."""
    found = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(run)
    uncut = evaluate_run(run, qrels, ["mrr"])["mrr"]
    assert all(close(uncut[query], values["recip_rank"]) for query, values in found.items())
    for k in (1, 2, 10, 100):
        ours = evaluate_run(run, qrels, [f"mrr@{k}"])[f"mrr@{k}"]
        for query, values in found.items():
            theirs = values["recip_rank"]
            assert close(ours[query], theirs if theirs >= 1 / k - 1e-9 else 0.0)


@many
@given(runs, judgements)
def test_reported_numbers_equal_the_rewards(run: Run, qrels: Qrels) -> None:
    """`evaluate` goes through ir-measures, `evaluate_run` does not; every measure, every query."""
    judged = {q: found for q, found in qrels.items() if max(found.values()) > 0}
    covered = {query: run.get(query, {}) for query in judged}
    if not judged:
        return
    reported = evaluate(covered, qrels, MEASURES).per_query
    ours = evaluate_run(covered, judged, MEASURES)
    assert reported.keys() == ours.keys()
    for name in MEASURES:
        assert reported[name].keys() == judged.keys()
        assert all(close(reported[name][query], ours[name][query]) for query in judged)
