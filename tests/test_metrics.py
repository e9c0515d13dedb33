"""Ranking metrics against numbers worked out by hand, and trec_eval's order of ties."""

import math

import pytest

from thought1.metrics import (
    METRICS,
    evaluate_run,
    ndcg,
    order,
    parse_measure,
    recall,
    reciprocal_rank,
)
from thought1.types import Thought1Error

RANKING = ["d1", "d2", "d3", "d4"]
GRADES = {"d2": 2, "d4": 1, "d5": 3, "d1": 0}


def test_ndcg() -> None:
    gained = 2 / math.log2(3) + 1 / math.log2(5)
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert ndcg(RANKING, GRADES, 10) == pytest.approx(gained / ideal, rel=1e-12)


def test_ndcg_cuts_ranking_and_ideal() -> None:
    gained = 2 / math.log2(3)
    ideal = 3 / math.log2(2) + 2 / math.log2(3)
    assert ndcg(RANKING, GRADES, 2) == pytest.approx(gained / ideal, rel=1e-12)
    assert ndcg(["d5", "d2", "d4"], GRADES, 3) == 1.0


def test_negative_grades_gain_nothing() -> None:
    assert ndcg(["bad", "good"], {"bad": -1, "good": 1}, 2) == pytest.approx(1 / math.log2(3))
    assert recall(["bad", "good"], {"bad": -1, "good": 1}, 2) == 1.0


def test_recall() -> None:
    assert recall(RANKING, GRADES, 1) == 0.0
    assert recall(RANKING, GRADES, 2) == pytest.approx(1 / 3)
    assert recall(RANKING, GRADES, 100) == pytest.approx(2 / 3)


def test_reciprocal_rank() -> None:
    assert reciprocal_rank(RANKING, GRADES, 10) == 0.5
    assert reciprocal_rank(RANKING, GRADES, 1) == 0.0
    assert reciprocal_rank(RANKING, {"d4": 1}, 4) == 0.25


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("grades", [{}, {"d1": 0}, {"d1": -1}])
def test_zero_without_a_relevant_document(metric, grades) -> None:
    assert metric(RANKING, grades, 10) == 0.0


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_zero_for_an_empty_ranking(metric) -> None:
    assert metric([], GRADES, 10) == 0.0


def test_order_is_by_score_then_by_falling_id() -> None:
    assert order({"a": 1, "10": 2, "9": 2, "Z": 1, "é": 1}) == ["9", "10", "é", "a", "Z"]
    assert order({}) == []


def test_order_compares_float32() -> None:
    assert order({"a": 1 + 1e-6, "b": 1.0}) == ["a", "b"]
    assert order({"a": 1 + 1e-9, "b": 1.0}) == ["b", "a"]
    assert order({"a": 1e300, "b": math.inf, "c": -math.inf, "d": 0.0}) == ["b", "a", "d", "c"]
    assert order({"a": 0.0, "b": -0.0}) == ["b", "a"]


def test_order_refuses_nan() -> None:
    with pytest.raises(Thought1Error, match="document 'd2' is not a number"):
        order({"d1": 1.0, "d2": math.nan, "d3": 2.0})


def test_reciprocal_rank_without_a_cut() -> None:
    assert reciprocal_rank(RANKING, {"d4": 1}, None) == 0.25
    assert reciprocal_rank(RANKING, {"d5": 1}, None) == 0.0


def test_parse_measure() -> None:
    assert parse_measure("mrr") == ("mrr", None)
    assert parse_measure("mrr@10") == ("mrr", 10)
    assert parse_measure("ndcg@10") == ("ndcg", 10)
    assert parse_measure("recall@1000") == ("recall", 1000)
    assert parse_measure("recall@1000000") == ("recall", 1_000_000)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "map",
        "ndcg",
        "ndcg@",
        "@10",
        "ndcg@0",
        "ndcg@010",
        "ndcg@-1",
        "ndcg@1.5",
        "NDCG@10",
        "mrr@x",
        "mrr@",
        "recall",
        "ndcg@1000001",
        "mrr@99999999999999999999",
    ],
)
def test_unknown_measure_lists_the_forms(name: str) -> None:
    with pytest.raises(Thought1Error, match=r"ndcg@K, recall@K, mrr@K, .* or mrr"):
        parse_measure(name)


def test_evaluate_run() -> None:
    run = {"q1": {"d1": 0.9, "d2": 0.8}, "unjudged": {"d1": 1.0}}
    qrels = {"q1": {"d2": 1}, "q2": {"d1": 1}, "nothing relevant": {"d1": 0}}
    assert evaluate_run(run, qrels, ["mrr@10", "recall@1"]) == {
        "mrr@10": {"q1": 0.5, "q2": 0.0, "nothing relevant": 0.0},
        "recall@1": {"q1": 0.0, "q2": 0.0, "nothing relevant": 0.0},
    }


def test_evaluate_run_refuses_an_unknown_measure() -> None:
    with pytest.raises(Thought1Error, match="unknown measure 'map@10'"):
        evaluate_run({}, {}, ["map@10"])
