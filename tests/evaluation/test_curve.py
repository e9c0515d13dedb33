"""The curve is what separate evaluations at each budget would give, from one pass."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import TEXTS, make_checkpoint

from thought1.evaluation.thoughts.curve import Curve, Point, Rival, measure_curve
from thought1.evaluation.thoughts.faithfulness import JudgedQuestions
from thought1.t1 import T1
from thought1.types import Sampling, Thought1Error

SAMPLED = Sampling(temperature=1.0, seed=3)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> T1:
    folder: Path = make_checkpoint(tmp_path_factory.mktemp("curve") / "qwen3")
    return T1.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def judged(tiny: T1) -> JudgedQuestions:
    """More questions than think at a time, of several lengths."""
    questions = {f"q{i:02}": f"question {i}: {TEXTS[i % 4][: 20 + i]}" for i in range(40)}
    documents = {f"d{i}": f"{TEXTS[i % 4]} {i}" for i in range(60)}
    qrels = {query: {f"d{i + 3}": 1, f"d{i}": 2} for i, query in enumerate(questions)}
    vectors = np.asarray(tiny.encode_document(list(documents.values())))
    return JudgedQuestions(questions, qrels, list(documents), vectors)


def point(budget: int, milliseconds: float, ndcg: float) -> Point:
    return Point(budget, budget * 0.75, milliseconds, {"a": ndcg - 0.1, "b": ndcg + 0.1})


@pytest.mark.numerics
@pytest.mark.parametrize("sampling", [None, SAMPLED], ids=["own", "sampled"])
def test_each_point_is_an_evaluation_at_its_budget(
    tiny: T1, judged: JudgedQuestions, sampling: Sampling | None
) -> None:
    curve = measure_curve(tiny, judged, (8, 0, 3, 8), sampling=sampling)
    assert [found.budget for found in curve.points] == [0, 3, 8]
    texts = list(judged.questions.values())
    for found in curve.points:
        vectors = np.asarray(tiny.encode_query(texts, budget=found.budget, sampling=sampling))
        assert found.per_query == pytest.approx(judged.ndcg(vectors), abs=1e-6)
        thoughts = tiny.think(texts, budget=found.budget, sampling=sampling)
        assert found.tokens == np.mean([len(thought.token_ids) for thought in thoughts])
        low, high = found.interval
        assert low <= found.ndcg <= high
    assert curve.points[0].tokens == 0
    values = [tuple(found.per_query.values()) for found in curve.points]
    assert len(set(values)) == 3  # a random model, but its thoughts move its vectors


def test_longer_thoughts_take_longer(tiny: T1, judged: JudgedQuestions) -> None:
    short, long = measure_curve(tiny, judged, (1, 60)).points
    assert 0 < short.milliseconds < long.milliseconds
    slower = measure_curve(tiny, judged, (0,), search_milliseconds=1000)
    assert 1000 < slower.points[0].milliseconds < 2000


def test_budgets_and_questions_are_checked(tiny: T1, judged: JudgedQuestions) -> None:
    for budgets in ((), (-1, 8)):
        with pytest.raises(ValueError, match="budgets of 0 tokens or more"):
            measure_curve(tiny, judged, budgets)
    with pytest.raises(Thought1Error, match="smaller thought budget"):
        measure_curve(tiny, judged, (0, 5000))
    alone = JudgedQuestions({"q": "why?"}, {"q": {"d": 1}}, ["d"], judged.document_vectors[:1])
    with pytest.raises(Thought1Error, match="needs two or more"):
        measure_curve(tiny, alone, (0,))


def test_the_front_holds_what_nothing_beats() -> None:
    points = (point(0, 2, 0.30), point(8, 6, 0.28), point(16, 9, 0.35), point(32, 9, 0.34))
    baselines = (
        Rival("slow and bad", 20, 0.2),
        Rival("fastest", 1, 0.1),
        Rival("twin of 0", 2, 0.30),
        Rival("best", 50, 0.6, tokens=100),
    )
    assert Curve(points).pareto == [0, 16]
    assert Curve(points, baselines).pareto == ["fastest", 0, "twin of 0", 16, "best"]
    faster = (*baselines, Rival("as good as 16, faster", 8, points[2].ndcg))
    assert 16 not in Curve(points, faster).pareto


def test_json_is_the_contract() -> None:
    curve = Curve((point(0, 2, 0.3), point(8, 6, 0.4)), (Rival("BM25", 1, 0.2),))
    content = json.loads(json.dumps(curve.to_json()))
    assert content["budgets"] == [0, 8]
    assert content["baselines"] == [
        {"name": "BM25", "milliseconds": 1, "tokens": 0, "metrics": {"ndcg@10": 0.2}}
    ]
    assert content["pareto"] == ["BM25", 0, 8]
    first = content["points"][1]
    assert first["metrics"] == pytest.approx({"ndcg@10": 0.4})
    assert first["ci"] == {"ndcg@10": list(curve.points[1].interval)}
    assert first["per_query"] == pytest.approx({"a": 0.3, "b": 0.5})
    assert (first["budget"], first["tokens"], first["milliseconds"]) == (8, 6, 6)


def test_table() -> None:
    baselines = (Rival("BM25, plain tokens", 1, 0.2), Rival("slow", 90, 0.1, tokens=7))
    curve = Curve((point(0, 2, 0.3), point(8, 6, 0.25), point(16, 9.5, 0.4)), baselines)
    assert curve.table() == [
        "                      tokens       ms  nDCG@10  95% interval",
        "* budget 0               0.0      2.0    0.300  0.200 to 0.400",
        "  budget 8               6.0      6.0    0.250  0.150 to 0.350",
        "* budget 16             12.0      9.5    0.400  0.300 to 0.500",
        "* BM25, plain tokens     0.0      1.0    0.200",
        "  slow                   7.0     90.0    0.100",
        "2 questions; mean tokens and milliseconds per question; * none is as fast and "
        "finds more, nor faster and finds as much",
    ]
