"""Own thoughts: files that are whole or absent, what is sampled, and when."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reason_recipe import MOST, PAIRS, reason, tiny_model
from transformers import TrainerControl, TrainerState

from thought1.t1 import T1
from thought1.training.cross_fit import sample_thoughts
from thought1.training.data.thoughts import SampledThoughts
from thought1.training.reason import sampling
from thought1.training.reason.sampling import SampleOwnThoughts, ThoughtSampling
from thought1.types import Sampling, Thought

THOUGHTS = {"a": Thought("ice", (3, 1), "emb_token"), "b": Thought("", (), "budget")}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> T1:
    return tiny_model(tmp_path_factory.mktemp("qwen3"))


# -- files -------------------------------------------------------------------------------------


def test_a_round_is_read_as_it_was_written(tmp_path: Path) -> None:
    own = SampledThoughts(tmp_path / "new" / "folder")
    own.write(3, THOUGHTS)
    for reader in (own, SampledThoughts(own.folder)):
        assert {q: tuple(ids) for q, ids in reader.read(3).items()} == {"a": (3, 1), "b": ()}
    lines = [json.loads(line) for line in own.path(3).read_text().splitlines()]
    assert [line["text"] for line in lines] == ["ice", ""]
    assert [line["ended"] for line in lines] == ["emb_token", "budget"]


def test_a_round_that_is_written_again_is_read_anew(tmp_path: Path) -> None:
    own = SampledThoughts(tmp_path)
    for ids in ((1,), (2, 5)):
        own.write(0, {"a": Thought("", ids, "budget")})
        own.write(1, {"a": Thought("", (9,), "budget")})
        assert tuple(own.read(0)["a"]) == ids
        assert tuple(own.read(1)["a"]) == (9,)


def test_an_interrupted_writing_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = SampledThoughts(tmp_path)
    own.write(0, THOUGHTS)
    before = own.path(0).read_bytes()

    def interrupted(_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dumps", interrupted)
    for number in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            own.write(number, {"a": Thought("", (7,), "budget")})
    assert own.path(0).read_bytes() == before
    assert not own.path(1).exists()


# -- what is sampled ---------------------------------------------------------------------------


@pytest.mark.numerics
def test_thoughts_are_those_of_the_model_at_the_stage_s_settings(model: T1) -> None:
    settings = reason(sampled_temperature=0.7, sampled_top_p=0.9)
    model.checkpoint.model.train()  # where a trainer leaves it
    found = sample_thoughts(model, PAIRS, settings, seed=4)
    texts = [pair.query for pair in PAIRS]
    sampling = Sampling(0.7, 0.9, 4, model.settings.thought.no_repeat_ngram)
    expected = model.think(texts, budget=MOST, sampling=sampling)
    assert list(found) == [pair.query_id for pair in PAIRS]
    assert [t.token_ids for t in found.values()] == [t.token_ids for t in expected]
    assert max(len(t.token_ids) for t in expected) == MOST

    def ids(seed: int, temperature: float = 0.7, top_p: float = 0.9) -> list[tuple[int, ...]]:
        changed = replace(settings, sampled_temperature=temperature, sampled_top_p=top_p)
        thoughts = sample_thoughts(model, PAIRS, changed, seed)
        return [thought.token_ids for thought in thoughts.values()]

    usual = ids(4)
    assert usual == ids(4)
    assert usual != ids(5)
    assert usual != ids(4, temperature=3.0)
    assert usual != ids(4, top_p=0.1)


def test_evidence_is_shown(model: T1) -> None:
    settings = reason(sampled_temperature=0.0)
    shown = [replace(PAIRS[0], evidence=("Iron grows.", "It is long.")), PAIRS[1]]
    found = sample_thoughts(model, shown, settings, seed=0)
    bare = sample_thoughts(model, PAIRS[:2], settings, seed=0)
    (expected,) = model.think(
        [shown[0].query], budget=MOST, sampling=Sampling(), evidence=[shown[0].evidence]
    )
    assert found["a"].token_ids == expected.token_ids
    assert found["b"].token_ids == bare["b"].token_ids
    assert expected.vector is not None and bare["a"].vector is not None
    assert not np.allclose(expected.vector, bare["a"].vector, atol=1e-3)


def test_no_question_no_thought(model: T1) -> None:
    assert sample_thoughts(model, [], reason(), seed=0) == {}


# -- when --------------------------------------------------------------------------------------


def test_rounds_that_are_read_are_sampled_in_time(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round r after r x sampled_every steps, each with a seed of its own; the others never."""
    asked: list[int] = []

    def sampled(_model: T1, pairs: Sequence[Any], _: object, seed: int) -> Mapping[str, Thought]:
        asked.append(seed)
        return {pair.query_id: Thought("", (seed,), "budget") for pair in pairs}

    monkeypatch.setattr(sampling, "sample_thoughts", sampled)
    own = SampledThoughts(tmp_path)
    its = ThoughtSampling(
        PAIRS, reason(sampled_every=3, share_sampled_end=0.5), 100, own, {0, 1, 3}
    )
    callback = SampleOwnThoughts(model, its)
    state, arguments = TrainerState(), (object(), TrainerControl())
    callback.on_train_begin(arguments[0], state, arguments[1])  # type: ignore[arg-type]
    assert asked == [100]
    there: dict[int, list[int]] = {}
    for step in range(1, 13):
        state.global_step = step
        callback.on_step_end(arguments[0], state, arguments[1])  # type: ignore[arg-type]
        there[step] = [number for number in range(5) if own.path(number).is_file()]
    assert asked == [100, 101, 103]
    assert [there[step] for step in (2, 3, 8, 9, 12)] == [[0], [0, 1], [0, 1], [0, 1, 3], [0, 1, 3]]
    assert all(list(own.read(number)["c"]) == [100 + number] for number in (0, 1, 3))


def test_a_run_that_goes_on_samples_nothing_at_its_begin(
    model: T1, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "sample_thoughts", lambda *_: pytest.fail("sampled"))
    own = SampledThoughts(tmp_path)
    for step, rounds in ((4, {0, 1}), (0, {1})):
        callback = SampleOwnThoughts(
            model,
            ThoughtSampling(PAIRS, reason(sampled_every=2, share_sampled_end=0.5), 0, own, rounds),
        )
        state = TrainerState(global_step=step)
        callback.on_train_begin(object(), state, TrainerControl())  # type: ignore[arg-type]
