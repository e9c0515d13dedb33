"""Thinking that stops by itself, or does not begin; and the calibration that chooses the rule."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from thought1.index import Index
from thought1.search.adaptive import Adaptive, Gate, Settled, signal
from thought1.search.calibration import (
    FILE_NAME,
    Observed,
    calibrated,
    choose,
    held_out,
    outcome,
    read_calibration,
    write_calibration,
)
from thought1.search.observing import observe
from thought1.search.options import Mode, SearchOptions
from thought1.testing import FakeModel
from thought1.types import Document, Thought1Error

QUESTION = "why do tides rise"
KNOWLEDGE = {QUESTION: "the moon pulls the sea with gravity and so it rises twice each day"}
DOCUMENTS = [
    Document("moon", "the moon pulls the sea with gravity"),
    Document("bread", "yeast makes bread dough rise"),
    Document("ice", "ice cracks in warm water"),
]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index.create(tmp_path / "index", FakeModel(knowledge=KNOWLEDGE, own_budget=12))
    made.add(DOCUMENTS)
    made.optimize()
    return made


# -- the rules -----------------------------------------------------------------------------------


def test_a_thought_settles_by_its_vector_or_by_what_it_finds() -> None:
    x, y = np.array([1, 0], np.float32), np.array([0.8, 0.6], np.float32)
    by_vector = Settled(Adaptive(cosine=0.79), lambda *_: [])
    assert list(by_vector(0, {3: x, 4: x})) == []
    assert set(by_vector(8, {3: y, 4: -x})) == {3}
    lists = iter([[["a", "b"]], [["b", "c"]], [["c", "b"]]])
    by_list = Settled(Adaptive(overlap=1.0), lambda *_: next(lists))
    assert [set(by_list(n, {0: x})) for n in (0, 8, 16)] == [set(), set(), {0}]


def test_signals_of_a_ranking() -> None:
    dense = [(str(i), 0.9 - 0.05 * i) for i in range(12)]
    words = [(str(i), 1.0) for i in range(5, 20)]
    assert signal("score", dense) == pytest.approx(0.9)
    assert signal("margin", dense) == pytest.approx(0.05)
    assert signal("spread", dense) == pytest.approx(0.45)
    assert signal("agreement", dense, words) == pytest.approx(0.5)
    assert signal("margin", dense[:1]) == pytest.approx(0.9)
    assert signal("score", []) == 0
    with pytest.raises(ValueError, match="both rankings"):
        signal("agreement", dense)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Adaptive(), "needs a cosine, an overlap or a gate"),
        (lambda: Adaptive(cosine=1.5), "from -1 to 1"),
        (lambda: Adaptive(overlap=-0.1), "from 0 to 1"),
        (lambda: Adaptive((8, 0), cosine=0.9), "each larger"),
        (lambda: Gate("luck", 1), "score, margin, spread, agreement, not by 'luck'"),
        (lambda: Gate("score", float("nan")), "must be a number"),
        (lambda: SearchOptions(adaptive=Adaptive(cosine=0.9), think=4), "fewer than two"),
        (lambda: SearchOptions(adaptive=Adaptive(cosine=0.9), think=0), "1 token or more"),
        (lambda: SearchOptions(adaptive=Adaptive(cosine=0.9), samples=2), "for one thought"),
        (lambda: SearchOptions(mode="bm25", adaptive=Adaptive(cosine=0.9)), "does not think"),
    ],
)
def test_rules_that_cannot_be(wrong: object, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        wrong()  # type: ignore[operator]


# -- searching -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_a_settled_search_answers_as_one_with_that_budget(index: Index, mode: Mode) -> None:
    rule = Adaptive((0, 3, 6, 12), overlap=0.0)  # which every list reaches
    (found,), receipt = index.search_many([QUESTION], SearchOptions(mode=mode, adaptive=rule))
    assert found.thought is not None
    assert found.thought.finish_reason == "settled"
    assert receipt.thought_tokens == 3
    assert found.hits == index.search(QUESTION, mode=mode, think=3).hits
    never = replace(rule, overlap=None, cosine=1.0)
    (whole,), receipt = index.search_many([QUESTION], SearchOptions(mode=mode, adaptive=never))
    assert receipt.thought_tokens == 12
    assert whole.hits == index.search(QUESTION, mode=mode, think=12).hits


@pytest.mark.parametrize("name", ["score", "margin", "spread", "agreement"])
def test_a_gate_lets_certain_queries_go_without_a_thought(index: Index, name: str) -> None:
    asked = [QUESTION, "yeast makes bread dough rise"]
    wide = SearchOptions(mode="dense", adaptive=Adaptive((0, 12), gate=Gate(name, 9.0)))
    shut = replace(wide, adaptive=Adaptive((0, 12), gate=Gate(name, -9.0)))
    found, receipt = index.search_many(asked, wide)
    assert [r.hits for r in found] == [index.search(q, mode="dense", think=12).hits for q in asked]
    assert receipt.thought_tokens == 12
    found, receipt = index.search_many(asked, shut)
    assert [r.hits for r in found] == [index.search(q, mode="dense", think=0).hits for q in asked]
    assert (receipt.thought_tokens, [r.thought for r in found]) == (0, [None, None])


def test_a_gate_decides_for_each_query(index: Index) -> None:
    asked = ["yeast makes bread dough rise", QUESTION]
    rule = Adaptive((0, 12), gate=Gate("score", 0.9))
    (sure, unsure), receipt = index.search_many(asked, SearchOptions(mode="dense", adaptive=rule))
    assert sure.thought is None
    assert unsure.thought is not None
    steps = ["first-embed", "first-dense", "gate", "think", "dense", "fetch"]
    assert list(receipt.milliseconds) == steps


# -- the calibration -----------------------------------------------------------------------------


def observed(count: int = 40) -> Observed:
    """Each second question gains by thinking, up to 8 tokens, and its score is low; a thought is as
    it was from 16 tokens on."""
    gains_Q = np.arange(count) % 2 == 0
    quality_QC = np.array([[0.2, 0.8, 0.8, 0.8] if gain else [0.9] * 4 for gain in gains_Q])
    noise_Q = np.random.default_rng(0).random(count)
    return Observed(
        (0, 8, 16, 24),
        quality_QC,
        np.tile([0.0, 8.0, 16.0, 24.0], (count, 1)),
        np.tile([0.0, 0.5, 0.999, 0.999], (count, 1)),
        np.tile([0.0, 0.3, 1.0, 1.0], (count, 1)),
        {"score": np.where(gains_Q, 0.3, 0.7) + 0.01 * noise_Q, "margin": noise_Q},
    )


def test_an_outcome_is_that_of_the_rule() -> None:
    given = observed()
    assert outcome(given, False).tokens == 0
    assert outcome(given, True).tokens == 24
    stopped = outcome(given, Adaptive(given.checkpoints, cosine=0.9))
    assert (stopped.tokens, stopped.quality) == (16, pytest.approx(0.85))
    gated = outcome(given, Adaptive(given.checkpoints, gate=Gate("score", 0.5)))
    assert (gated.tokens, gated.quality) == (12, pytest.approx(0.85))


def test_the_rule_of_fewest_tokens_that_keeps_the_gain_is_chosen() -> None:
    given = observed()
    rule = choose(given)
    assert isinstance(rule, Adaptive)
    assert rule.gate is not None
    assert rule.gate.signal == "score"
    found = outcome(given, rule)
    assert found.quality == pytest.approx(0.85)
    assert found.tokens == pytest.approx(8)  # 16 for each second question
    other = held_out(given)
    assert other.quality >= 0.55 + 0.9 * 0.3
    assert other.tokens <= 12


def test_where_thinking_gains_nothing_nothing_is_thought() -> None:
    given = observed()
    worse = replace(given, quality_QC=given.quality_QC[:, ::-1])
    assert choose(worse) is False
    found = calibrated(worse, "m", "dense", "ndcg@10")
    assert found.options(SearchOptions(mode="dense")).think == 0
    with pytest.raises(Thought1Error, match="needs 5 or more"):
        calibrated(given.part(np.arange(40) < 4), "m", "dense", "ndcg@10")


def test_it_is_kept_with_the_index(tmp_path: Path) -> None:
    found = calibrated(observed(), "m", "dense", "ndcg@10")
    with pytest.raises(Thought1Error, match="is not calibrated: run `t1 calibrate"):
        read_calibration(tmp_path, "m")
    write_calibration(tmp_path, found)
    assert read_calibration(tmp_path, "m") == found
    assert found.options(SearchOptions()).adaptive == found.rule
    with pytest.raises(Thought1Error, match="calibrated with the model 'm', not 'other'"):
        read_calibration(tmp_path, "other")
    for broken in ("{", "[]", '{"format": 1}', '{"format": 9}'):
        (tmp_path / FILE_NAME).write_text(broken)
        with pytest.raises(Thought1Error, match="run `t1 calibrate"):
            read_calibration(tmp_path, "m")


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_what_is_observed_is_what_searches_find(index: Index, mode: Mode) -> None:
    questions = {"q": QUESTION, "r": "yeast makes bread dough rise", "none": "ice"}
    qrels = {"q": {"moon": 1}, "r": {"bread": 1, "moon": 0}, "none": {"ice": 0}}
    options = SearchOptions(mode=mode, checkpoints=(0, 3, 12))
    found = observe(index, questions, qrels, options)
    assert found.tokens_QC.tolist() == [[0, 3, 12], [0, 0, 0]]
    assert found.quality_QC[1].tolist() == [1, 1, 1]
    assert (found.cosine_QC[0, 1:] < 0.999).all()
    assert found.cosine_QC[1, 1:] == pytest.approx(1, abs=1e-6)
    assert found.signals["score"][1] == pytest.approx(1, abs=1e-5)
    rule = Adaptive((0, 3, 12), gate=Gate("score", 0.9), overlap=0.0)
    asked = SearchOptions(mode=mode, adaptive=rule)
    _, receipt = index.search_many([QUESTION, questions["r"]], asked)
    assert receipt.thought_tokens == outcome(found, rule).tokens_Q.sum() == 3
    with pytest.raises(Thought1Error, match="no question has a relevant document"):
        observe(index, questions, {}, options)
