"""Dispersion and fusion of sampled thoughts: formulas by hand, and a model from end to end."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from tiny import TEXTS, make_checkpoint

from thought1.evaluation.thoughts.dispersion import (
    Dispersion,
    measure_dispersion,
    pairwise_distances,
    spearman,
)
from thought1.evaluation.thoughts.faithfulness import JudgedQuestions
from thought1.search.vectors import fused
from thought1.t1 import T1
from thought1.types import Sampling, Thought1Error


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> T1:
    folder: Path = make_checkpoint(tmp_path_factory.mktemp("dispersion") / "qwen3")
    return T1.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def judged(tiny: T1) -> JudgedQuestions:
    """More questions than think at a time; one of them has no relevant document."""
    questions = {f"q{i:02}": f"question {i}: {TEXTS[i % 4][: 20 + i]}" for i in range(35)}
    documents = {f"d{i}": f"{TEXTS[i % 4]} {i}" for i in range(40)}
    qrels = {query: {f"d{i}": 1} for i, query in enumerate(questions)} | {"q07": {"d1": 0}}
    vectors = np.asarray(tiny.encode_document(list(documents.values())))
    return JudgedQuestions(questions, qrels, list(documents), vectors)


# -- formulas ------------------------------------------------------------------------------------

EYE = np.eye(4, dtype=np.float32)


def test_fused_is_the_normalised_mean() -> None:
    rows = np.stack([[EYE[0], EYE[1]], [EYE[2], EYE[2]], [EYE[3], -EYE[3]]])
    half = 0.5**0.5
    expected = [[half, half, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert fused(rows).dtype == np.float32
    np.testing.assert_allclose(fused(rows), expected, atol=1e-6)


def test_distances_are_means_over_pairs() -> None:
    same = [EYE[0]] * 3
    one_apart = [EYE[0], EYE[0], EYE[1]]  # pairs: 0, 1, 1
    opposite = [EYE[0], -EYE[0], EYE[1]]  # pairs: 2, 1, 1
    found = pairwise_distances(np.stack([same, one_apart, opposite]).astype(np.float32))
    np.testing.assert_allclose(found, [0, 2 / 3, 4 / 3], atol=1e-6)


def test_spearman_by_hand() -> None:
    assert spearman([1, 2, 3], [10, 200, 3000]) == pytest.approx(1)
    # Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4.
    assert spearman([0.1, 0.2, 0.2, 9], [1, 3, 2, 4]) == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    random = np.random.default_rng(0)
    for _ in range(20):
        a, b = random.permutation(15), random.permutation(15)
        formula = 1 - 6 * np.sum((a - b) ** 2) / (15 * (15**2 - 1))
        assert spearman(a, b) == pytest.approx(formula)


@pytest.mark.filterwarnings("error")
def test_one_value_throughout_has_no_correlation() -> None:
    assert spearman([1, 2, 3], [5, 5, 5]) is None
    assert spearman([5, 5, 5], [1, 2, 3]) is None


# -- end to end ----------------------------------------------------------------------------------


@pytest.mark.numerics
def test_rows_are_what_the_public_calls_give(tiny: T1, judged: JudgedQuestions) -> None:
    found = measure_dispersion(tiny, judged, 6, copies=3, temperature=0.8, seed=5)
    counted = judged.counted()
    assert "q07" not in counted.questions
    texts = list(counted.questions.values())
    bare = np.asarray(tiny.encode_query(texts, budget=0))
    own = np.asarray(tiny.encode_query(texts, budget=6))
    assert found.rows["bare"] == pytest.approx(counted.ndcg(bare))
    assert found.rows["own"] == pytest.approx(counted.ndcg(own))
    half = (own + bare) / np.linalg.norm(own + bare, axis=1, keepdims=True)
    assert found.rows["own+bare"] == pytest.approx(counted.ndcg(half))
    assert found.correlation == spearman(
        list(found.distances.values()), list(found.rows["own"].values())
    )


@pytest.mark.numerics
def test_the_sampled_rows_come_from_the_engines_copies(tiny: T1, judged: JudgedQuestions) -> None:
    found = measure_dispersion(tiny, judged, 6, copies=3, temperature=0.8, seed=5)
    counted = judged.counted()
    own = tiny.settings
    prompts = tiny.renderer.render(
        own.query, list(counted.questions.values()), own.max_query_tokens
    )
    sampling = Sampling(0.8, own.thought.top_p, 5, own.thought.no_repeat_ngram)
    sampled = np.stack(
        [
            [
                one.vector
                for one in tiny.engine.generate(prompts.prefix, [row], [6], sampling, copies=3)
            ]
            for row in prompts.rows
        ]
    )
    bare = np.asarray(tiny.encode_query(list(counted.questions.values()), budget=0))
    each = [counted.ndcg(sampled[:, copy]) for copy in range(3)]
    mean = {query: np.mean([values[query] for values in each]) for query in counted.questions}
    assert found.rows["sampled"] == pytest.approx(mean)
    assert found.rows["fused"] == pytest.approx(counted.ndcg(fused(sampled)))
    with_bare = np.concatenate([sampled, bare[:, None]], axis=1)
    assert found.rows["fused+bare"] == pytest.approx(counted.ndcg(fused(with_bare)))
    distances = [
        np.mean([1 - row[0] @ row[1], 1 - row[0] @ row[2], 1 - row[1] @ row[2]]) for row in sampled
    ]
    np.testing.assert_allclose(list(found.distances.values()), distances, atol=1e-5)
    assert found.distance > 0.01  # the thoughts differ


def test_seed_and_temperature_decide(tiny: T1, judged: JudgedQuestions) -> None:
    first, again, other, cold = (
        measure_dispersion(tiny, judged, 4, copies=2, temperature=temperature, seed=seed)
        for temperature, seed in ((1.0, 0), (1.0, 0), (1.0, 1), (1e-4, 0))
    )
    assert first == again
    assert first.distances != other.distances
    assert (cold.distance, cold.correlation) == (0, None)
    assert cold.rows["sampled"] == pytest.approx(cold.rows["own"])


def test_bad_input_is_refused(tiny: T1, judged: JudgedQuestions) -> None:
    for budget, copies, temperature in ((0, 4, 1.0), (4, 1, 1.0), (4, 4, 0.0)):
        with pytest.raises(ValueError, match="dispersion needs"):
            measure_dispersion(tiny, judged, budget, copies=copies, temperature=temperature)
    none = JudgedQuestions(judged.questions, {}, judged.document_ids, judged.document_vectors)
    with pytest.raises(Thought1Error, match="0 of 35 questions"):
        measure_dispersion(tiny, none, 4)


# -- the report ----------------------------------------------------------------------------------


def row(value: float) -> Mapping[str, float]:
    return {"a": value - 0.1, "b": value + 0.1}


def test_json_and_table() -> None:
    rows = {"bare": row(0.4), "own": row(0.3), "own+bare": row(0.5)}
    found = Dispersion(16, 4, 0.7, {"a": 0.1, "b": 0.3}, -1.0, rows)
    content = json.loads(json.dumps(found.to_json()))
    assert content["distance"] == pytest.approx(0.2)
    assert content["rows"]["own"]["ndcg@10"] == pytest.approx(0.3)
    assert content["rows"]["own"]["per_query"] == pytest.approx({"a": 0.2, "b": 0.4})
    assert content["gains"]["own"] == pytest.approx({"mean": -0.1, "low": -0.1, "high": -0.1})
    assert (content["budget"], content["copies"], content["temperature"]) == (16, 4, 0.7)
    assert (content["correlation"], content["distances"]) == (-1, {"a": 0.1, "b": 0.3})
    assert found.table() == [
        "vector       nDCG@10  this - bare (95% interval)",
        "bare           0.400",
        "own            0.300  -0.100 (-0.100 to -0.100)",
        "own+bare       0.500  +0.100 (+0.100 to +0.100)",
        "2 questions, 4 thoughts each of at most 16 tokens at temperature 0.7: mean cosine "
        "distance 0.200, its rank correlation with nDCG@10 of own -1.00",
    ]
