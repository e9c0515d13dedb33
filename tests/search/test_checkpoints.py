"""Anytime vectors: one thought, read at several budgets, gives what each budget alone gives."""

from dataclasses import replace

import numpy as np
import pytest
from sentence_models import make_sentence_model
from tiny import TEXTS, make_checkpoint

from thought1.model.settings import ThoughtSettings
from thought1.t1 import T1
from thought1.types import Sampling, Thought1Error

QUERIES = ["Why do ice cubes crack in warm water?", "salt on roads", "a kettle"]
CHECKPOINTS = [0, 2, 5, 12]
SAMPLED = Sampling(temperature=1.0, top_p=0.9, seed=3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> T1:
    found = T1.from_pretrained(make_checkpoint(tmp_path_factory.mktemp("thinker") / "qwen3"))
    return found.with_settings(replace(found.settings, thought=ThoughtSettings(7)))


@pytest.fixture(scope="module", params=["plain", "anchored", "companion", "companion alone"])
def model(
    request: pytest.FixtureRequest, plain: T1, tmp_path_factory: pytest.TempPathFactory
) -> T1:
    if request.param == "plain":
        return plain
    if request.param == "anchored":
        return plain.with_settings(replace(plain.settings, anchor="mean"))
    encoder = make_sentence_model(tmp_path_factory.mktemp("encoder"), texts=TEXTS)
    return plain.with_companion(encoder, anchor="mean" if request.param == "companion" else "none")


@pytest.mark.parametrize("sampling", [None, SAMPLED], ids=["greedy", "sampled"])
def test_each_vector_is_that_of_a_run_with_its_budget(model: T1, sampling: Sampling | None) -> None:
    read = model.think(QUERIES, sampling=sampling, checkpoints=CHECKPOINTS)
    assert read == model.think(QUERIES, budget=12, sampling=sampling)
    for place, budget in enumerate(CHECKPOINTS):
        found = [thought.checkpoints[place] for thought in read]
        assert [shot.budget for shot in found] == [budget] * 3
        alone = model.think(QUERIES, budget=budget, sampling=sampling)
        np.testing.assert_allclose(
            [shot.vector for shot in found], [one.vector for one in alone], rtol=0, atol=1e-5
        )
    first, last = (np.stack([one.checkpoints[i].vector for one in read]) for i in (0, -1))
    assert np.abs(first - last).max() > 0.01


def test_a_thought_that_ends_before_a_checkpoint_has_its_final_vector_there(plain: T1) -> None:
    (whole,) = plain.think(QUERIES[:1], budget=12)
    ending = T1(plain.checkpoint)
    ending.engine.emb_id = whole.token_ids[3]  # type: ignore[attr-defined]
    (short,) = ending.think(QUERIES[:1], budget=12, checkpoints=[1, 12])
    assert len(short.token_ids) < 5 and short.finish_reason == "emb_token"
    np.testing.assert_array_equal(short.checkpoints[1].vector, short.vector)


def test_every_sample_has_its_own(model: T1) -> None:
    read = model.think(QUERIES, samples=3, sampling=SAMPLED, checkpoints=[4, 8])
    alone = model.think(QUERIES, samples=3, sampling=SAMPLED, budget=4)
    assert [one.token_ids[:4] for one in read] == [one.token_ids for one in alone]
    found = [one.checkpoints[0].vector for one in read]
    np.testing.assert_allclose(found, [one.vector for one in alone], rtol=0, atol=1e-5)


def test_order_and_repetitions_do_not_matter(model: T1) -> None:
    (one,) = model.think(QUERIES[0], checkpoints=[5, 0, 5, 2])
    assert [shot.budget for shot in one.checkpoints] == [0, 2, 5]
    assert all(shot.seconds > 0 for shot in one.checkpoints)
    assert len(one.token_ids) == 5


def test_without_a_budget_to_think_there_is_the_bare_query(model: T1) -> None:
    (bare,) = model.think(QUERIES[0], checkpoints=[0])
    assert (bare.text, bare.finish_reason) == ("", "none")
    np.testing.assert_array_equal(bare.checkpoints[0].vector, bare.vector)
    assert model.think(QUERIES[0])[0].checkpoints == ()


@pytest.mark.parametrize("wrong", [-1, 9])
def test_a_checkpoint_outside_the_budget_is_refused(plain: T1, wrong: int) -> None:
    with pytest.raises(Thought1Error, match=rf"budget of 8, not at {wrong}"):
        plain.think(QUERIES, budget=8, checkpoints=[0, wrong])
