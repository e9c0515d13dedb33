"""Thoughts that end at a checkpoint: the ones asked for, with the vector of that budget."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import pytest
from sentence_models import make_sentence_model
from tiny import TEXTS, make_checkpoint

from thought1.model.settings import ThoughtSettings
from thought1.t1 import T1
from thought1.types import Sampling, Vectors, Watched

QUERIES = ["Why do ice cubes crack in warm water?", "salt on roads", "a kettle"]
CHECKPOINTS = [0, 2, 5, 9]
SAMPLED = Sampling(temperature=1.0, top_p=0.9, seed=3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> T1:
    found = T1.from_pretrained(make_checkpoint(tmp_path_factory.mktemp("thinker") / "qwen3"))
    return found.with_settings(replace(found.settings, thought=ThoughtSettings(7)))


@pytest.fixture(scope="module", params=["plain", "anchored", "companion"])
def model(
    request: pytest.FixtureRequest, plain: T1, tmp_path_factory: pytest.TempPathFactory
) -> T1:
    if request.param == "plain":
        return plain
    if request.param == "anchored":
        return plain.with_settings(replace(plain.settings, anchor="mean"))
    return plain.with_companion(make_sentence_model(tmp_path_factory.mktemp("e"), texts=TEXTS))


class Ends:
    """Ends given thoughts at given checkpoints, and remembers what it was shown."""

    def __init__(self, ends: Mapping[int, int]) -> None:
        self.ends = ends
        self.shown: dict[int, Mapping[int, Vectors]] = {}

    def __call__(self, tokens: int, vectors: Mapping[int, Vectors]) -> Collection[int]:
        self.shown[tokens] = vectors
        return [thought for thought in vectors if self.ends.get(thought) == tokens]


@pytest.mark.parametrize("samples", [1, 2])
def test_a_settled_thought_is_that_of_a_smaller_budget(model: T1, samples: int) -> None:
    ends = Ends({0: 5, 2: 2})
    settings = {"sampling": SAMPLED, "samples": samples}
    found = model.think(QUERIES, checkpoints=Watched(CHECKPOINTS, ends), **settings)
    for number, thought in enumerate(found):
        budget = ends.ends.get(number, 9)
        alone = model.think(QUERIES, budget=budget, **settings)[number]
        assert thought.token_ids == alone.token_ids
        assert thought.finish_reason == ("settled" if number in ends.ends else "budget")
        assert thought.forced
        np.testing.assert_allclose(thought.vector, alone.vector, rtol=0, atol=1e-5)
        assert [shot.budget for shot in thought.checkpoints] == CHECKPOINTS
        later = [shot.vector for shot in thought.checkpoints if shot.budget >= budget]
        assert all(np.array_equal(vector, thought.vector) for vector in later)
    everyone = set(range(3 * samples))
    assert {n: set(shown) for n, shown in ends.shown.items()} == {
        0: everyone, 2: everyone, 5: everyone - {2},
    }  # fmt: skip
    for tokens, shown in ends.shown.items():
        alone = model.think(QUERIES, budget=tokens, **settings) if tokens else None
        for number, vector in shown.items():
            expected = alone[number] if alone else model.think(QUERIES, budget=0)[number // samples]
            np.testing.assert_allclose(vector, expected.vector, rtol=0, atol=1e-5)


def test_nothing_is_written_once_all_have_settled(plain: T1) -> None:
    steps = []
    layer = plain.checkpoint.model.get_input_embeddings()
    hook = layer.register_forward_hook(lambda *_: steps.append(1))
    plain.think(QUERIES, checkpoints=CHECKPOINTS)
    whole = len(steps)
    steps.clear()
    ends = Ends(dict.fromkeys(range(3), 2))
    found = plain.think(QUERIES, checkpoints=Watched(CHECKPOINTS, ends))
    hook.remove()
    # Two snapshots instead of three, and none of the seven steps behind the second token.
    assert [len(thought.token_ids) for thought in found] == [2, 2, 2]
    assert whole - len(steps) >= 7


def test_a_thought_that_ends_by_itself_is_not_asked_about(plain: T1) -> None:
    (whole,) = plain.think(QUERIES[:1], budget=9)
    ending = T1(plain.checkpoint)
    ending.engine.emb_id = whole.token_ids[2]  # type: ignore[attr-defined]
    ends = Ends({0: 5})
    found, _ = ending.think(QUERIES[:2], checkpoints=Watched([0, 2, 3, 9], ends))
    assert (found.finish_reason, len(found.token_ids)) == ("emb_token", 2)
    assert {n: set(shown) for n, shown in ends.shown.items()} == {0: {0, 1}, 2: {1}, 3: {1}}
