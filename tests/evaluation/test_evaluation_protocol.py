"""The reported numbers: who counts, what is refused, intervals, and the JSON they end up in."""

import json
import math
import sys

import numpy as np
import pytest

from thought1.evaluation.statistics.protocol import (
    DEFAULT_MEASURES,
    Evaluation,
    bootstrap_ci,
    evaluate,
    paired_bootstrap,
)
from thought1.metrics import METRICS
from thought1.types import Thought1Error

pytest.importorskip("ir_measures")

RUN = {
    "q1": {"d1": 0.9, "d2": 0.8, "d3": 0.1},
    "q2": {"d3": 0.7, "d4": 0.6},
    "not relevant": {"d1": 1.0},
    "not judged": {"d1": 1.0},
}
QRELS = {"q2": {"d3": 1}, "q1": {"d2": 2, "d9": 1, "d1": 0}, "not relevant": {"d1": 0}}


def test_only_queries_with_a_relevant_document_count() -> None:
    found = evaluate(RUN, QRELS)
    assert found.queries == 2
    assert list(found.per_query) == list(DEFAULT_MEASURES)
    assert all(list(values) == ["q1", "q2"] for values in found.per_query.values())
    ideal = 2 + 1 / math.log2(3)
    assert found.per_query["ndcg@10"]["q1"] == pytest.approx(2 / math.log2(3) / ideal)
    assert found.metrics == pytest.approx(
        {
            "ndcg@10": (2 / math.log2(3) / ideal + 1) / 2,
            "recall@1": 0.5,
            "recall@10": 0.75,
            "recall@100": 0.75,
            "mrr@10": 0.75,
        }
    )


def test_all_measures_break_ties_alike() -> None:
    """ir-measures alone would give RR@1 = 1 and nDCG@1 = 0 here."""
    found = evaluate({"q": {"a": 1.0, "b": 1.0}}, {"q": {"a": 1}}, ["ndcg@1", "recall@1", "mrr@1"])
    assert found.metrics == {"ndcg@1": 0.0, "recall@1": 0.0, "mrr@1": 0.0}


def test_a_measure_without_a_cut_sees_the_whole_run() -> None:
    run = {"q": {f"d{number}": -float(number) for number in range(40)}}
    found = evaluate(run, {"q": {"d29": 1}}, ["recall@1", "mrr", "mrr@29"])
    assert found.metrics == {"recall@1": 0.0, "mrr": pytest.approx(1 / 30), "mrr@29": 0.0}


def test_every_metric_can_be_reported() -> None:
    assert evaluate(RUN, QRELS, [f"{kind}@3" for kind in METRICS]).queries == 2


def test_numpy_scores_are_accepted() -> None:
    run = {"q": {"a": np.float32(0.5), "b": np.float32(0.25)}}
    assert evaluate(run, {"q": {"b": 1}}, ["mrr@10"]).metrics == {"mrr@10": 0.5}


def test_a_query_without_hits_is_covered_and_counts_zero() -> None:
    assert evaluate({**RUN, "q1": {}}, QRELS, ["recall@10"]).metrics == {"recall@10": 0.5}


def test_a_missing_query_is_refused() -> None:
    qrels = {f"q{i}": {"d1": 1} for i in range(8)}
    with pytest.raises(
        Thought1Error, match=r"lacks 7 of the 8 judged queries: q0, q2, .*, q5, \.\.\.;"
    ):
        evaluate({"q1": {"d1": 1.0}}, qrels)
    with pytest.raises(Thought1Error, match="lacks 1 of the 2 judged queries: q2;"):
        evaluate({"q1": {"d1": 1.0}}, QRELS)


@pytest.mark.parametrize("qrels", [{}, {"q1": {}}, {"q1": {"d1": 0}}])
def test_qrels_without_a_relevant_document_are_refused(qrels) -> None:
    with pytest.raises(Thought1Error, match="no query with a relevant document"):
        evaluate(RUN, qrels)


def test_unknown_measures_and_nan_are_refused() -> None:
    with pytest.raises(Thought1Error, match="unknown measure 'map@10'"):
        evaluate(RUN, QRELS, ["map@10"])
    with pytest.raises(Thought1Error, match="NaN"):
        evaluate({**RUN, "q1": {"d1": math.nan}}, QRELS)
    with pytest.raises(ValueError, match="at least one measure"):
        evaluate(RUN, QRELS, [])


def test_missing_ir_measures_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(Thought1Error, match=r'pip install "thought1\[eval\]"'):
        evaluate(RUN, QRELS)


def test_to_json() -> None:
    found = evaluate(RUN, QRELS).to_json()
    assert json.loads(json.dumps(found)) == found
    assert found.keys() == {"metrics", "ci", "queries"} and found["queries"] == 2
    assert found["ci"].keys() == found["metrics"].keys() == set(DEFAULT_MEASURES)
    for name, (low, high) in found["ci"].items():
        assert 0 <= low <= found["metrics"][name] <= high <= 1
    assert found["ci"]["recall@1"] == [0.0, 1.0]


# Intervals


def test_interval_of_equal_values_is_that_value() -> None:
    assert bootstrap_ci([0.25] * 7) == (0.25, 0.25)
    assert bootstrap_ci([0.5]) == (0.5, 0.5)


def test_interval_approaches_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(0.4, 0.3, size=400)
    low, high = bootstrap_ci(values.tolist())
    error = values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.05 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.05 * error)


def test_interval_of_a_coin_is_the_binomial_one() -> None:
    """Of 4 coin flips the mean is 0 or 1 with probability 1/16 each: inside a 95% interval."""
    assert bootstrap_ci([0.0, 0.0, 1.0, 1.0]) == (0.0, 1.0)
    assert bootstrap_ci([0.0, 0.0, 1.0, 1.0], level=0.8) == (0.25, 0.75)


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        low, high = bootstrap_ci(rng.random(60).tolist(), level=0.9, resamples=500, seed=trial)
        covered += low <= 0.5 <= high
    assert 0.83 < covered / 200 < 0.96


def test_seed_decides() -> None:
    values = [i / 11 for i in range(12)]
    assert bootstrap_ci(values, resamples=1500) == bootstrap_ci(values, resamples=1500)
    assert bootstrap_ci(values, resamples=1500) != bootstrap_ci(values, resamples=1500, seed=1)


def test_order_of_run_and_qrels_does_not_change_an_interval() -> None:
    qrels = {f"q{i}": {"d1": 1} for i in range(9)}
    run = {q: {f"d{j}": float(-j) for j in range(int(q[1:]) % 3, 5)} for q in qrels}
    there = evaluate(run, qrels).to_json()
    back = evaluate(dict(reversed(run.items())), dict(reversed(qrels.items()))).to_json()
    assert there == back and there["ci"]["mrr@10"][0] < there["ci"]["mrr@10"][1]


@pytest.mark.parametrize(
    "bad", [{"values": []}, {"level": 0.0}, {"level": 1.0}, {"level": 95}, {"resamples": 0}]
)
def test_senseless_settings_are_refused(bad) -> None:
    with pytest.raises(ValueError, match="bootstrap_ci"):
        bootstrap_ci(**{"values": [0.1, 0.2], **bad})


def test_paired_difference_is_sharper_than_two_intervals() -> None:
    """b is always 0.1 worse, on queries that differ much more: certain when paired."""
    a = {f"q{i}": i / 20 + 0.1 for i in range(18)}
    b = {query: value - 0.1 for query, value in reversed(a.items())}
    found = paired_bootstrap(a, b)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    back = paired_bootstrap(b, a)
    assert back.mean == pytest.approx(-0.1) and back.low <= back.mean <= back.high


def test_paired_difference_of_unlike_systems() -> None:
    a = {f"q{i}": float(i % 2) for i in range(40)}
    b = {f"q{i}": float(i % 3 == 0) for i in range(40)}
    found = paired_bootstrap(a, b)
    assert found.low < 0 < found.high
    assert found.mean == pytest.approx((20 - 14) / 40)
    assert found == paired_bootstrap(a, b)


def test_paired_difference_needs_the_same_queries() -> None:
    with pytest.raises(Thought1Error, match="differ in 2 queries: q2, q3"):
        paired_bootstrap({"q1": 1.0, "q2": 1.0}, {"q1": 1.0, "q3": 1.0})


def test_means_are_plain_floats() -> None:
    found = Evaluation({"ndcg@10": {"q1": 0.25, "q2": 0.5}})
    assert found.metrics == {"ndcg@10": 0.375} and type(found.metrics["ndcg@10"]) is float
