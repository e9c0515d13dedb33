"""The rewards of reinforcement: values by hand, what must hold for all, and what is refused."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rollout_batch import batch

from thought1 import metrics
from thought1.registry import REWARDS
from thought1.rewards import (
    Floats,
    Rollouts,
    advantages,
    compute,
    copied,
    find_reward,
    repeated,
    total,
)
from thought1.types import Thought1Error

LOG2_3 = math.log2(3)

# Per row: relevant first and third; relevant second and third; all relevant; a tie at the top.
SCORES = [[0.9, 0.5, 0.1], [0.5, 0.4, 0.9], [0.2, 0.1, 0.0], [0.5, 0.5, 0.1]]
RELEVANT = [[1, 0, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]]


def by_hand() -> Rollouts:
    return batch(
        SCORES,
        RELEVANT,
        lengths=[0, 8, 12, 16],
        ended=[True, True, True, False],
        repeated=[0, 0.25, 0, 1],
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ndcg", [1.5 / (1 + 1 / LOG2_3), (1 / LOG2_3 + 0.5) / (1 + 1 / LOG2_3), 1, 1 / LOG2_3]),
        ("log_rank", [1, 1 - math.log(2) / math.log(3), 1, 1 - math.log(2) / math.log(3)]),
        ("margin", [0.0, -0.45, 0.1, 0.0]),
        ("product", [0.0, 0.5 * -0.45, 0.1, 0.0]),
        ("format", [0, 1, 1, 0]),
        ("length", [1, 1, 0.5, 0]),
        ("repetition", [0, -0.25, 0, -1]),
    ],
)
def test_values_by_hand(name: str, expected: list[float]) -> None:
    assert compute(name, by_hand()) == pytest.approx(expected, abs=1e-6)


def test_product_of_a_good_ranking() -> None:
    half = batch([[0.9, 0.5, 0.4, 0.0]], [[1, 0, 1, 0]])
    assert compute("product", half) == pytest.approx([0.5 * (0.65 - 0.25)])


def test_a_single_candidate_is_always_first() -> None:
    alone = batch([[-0.5], [0.3]], [[1], [1]])
    assert compute("ndcg", alone).tolist() == [1, 1]
    assert compute("log_rank", alone).tolist() == [1, 1]


def test_a_target_at_the_budget_takes_the_length_out() -> None:
    assert compute("length", replace(by_hand(), length_target=16)).tolist() == [1, 1, 1, 1]


def test_repeated_and_copied() -> None:
    assert repeated([1, 2]) == repeated([]) == repeated([1, 2, 3, 4]) == 0
    assert repeated([1, 2, 3, 1, 2, 3]) == pytest.approx(1 / 4)
    assert repeated([7] * 12) == pytest.approx(9 / 10)
    question = [1, 2, 3, 4, 9]
    assert copied([1, 2, 3, 4, 5], question) == pytest.approx(4 / 5)
    assert copied([5, 1, 2, 5, 2, 3, 4], question) == pytest.approx(3 / 7)
    assert copied([1, 2], question) == copied([], question) == copied([1, 2, 3], []) == 0


COSINES = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    """The scores of 1 to 14 candidates, ties among them, and which are relevant."""
    scores = draw(st.lists(COSINES, min_size=1, max_size=14))
    size = len(scores)
    flags = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size).filter(any))
    return scores, flags


@settings(max_examples=60, deadline=None)
@given(rankings())
def test_ndcg_is_that_of_the_metrics(ranking: tuple[list[float], list[int]]) -> None:
    scores, relevant = ranking
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], relevant[place]))
    expected = metrics.ndcg(
        [str(p) for p in order], {str(p): f for p, f in enumerate(relevant)}, 10
    )
    assert compute("ndcg", batch([scores], [relevant])) == pytest.approx([expected], abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(rankings(), st.data())
def test_a_better_rank_lowers_no_reward(
    ranking: tuple[list[float], list[int]], data: st.DataObject
) -> None:
    scores, relevant = ranking
    raised = data.draw(st.sampled_from([p for p, flag in enumerate(relevant) if flag]))
    better = [score + 0.3 * (place == raised) for place, score in enumerate(scores)]
    pair = batch([scores, better], [relevant, relevant])
    for name in ("ndcg", "log_rank", "margin"):
        before, after = compute(name, pair)
        assert after >= before - 1e-9, name


@settings(max_examples=60, deadline=None)
@given(rankings())
def test_retrieval_rewards_keep_their_bounds(ranking: tuple[list[float], list[int]]) -> None:
    rollouts = batch([ranking[0]], [ranking[1]])
    for name, low in (("ndcg", 0), ("log_rank", 0), ("margin", -2), ("product", -2)):
        assert low - 1e-9 <= compute(name, rollouts)[0] <= 1 + (low < 0) + 1e-9, name


def test_total_is_the_weighted_sum_of_the_parts() -> None:
    weighted, parts = total(by_hand(), {"format": 0.5, "length": 0.2})
    assert list(parts) == ["format", "length"]
    assert parts["format"].tolist() == [0, 1, 1, 0]
    assert weighted == pytest.approx([0.2, 0.7, 0.6, 0])


def own_reward(rollouts: Rollouts) -> Floats:
    return rollouts.copied_R


def one_number(rollouts: Rollouts) -> Floats:
    return rollouts.copied_R[:1]


def not_finite(rollouts: Rollouts) -> Floats:
    return rollouts.copied_R / 0


def no_numbers(rollouts: Rollouts) -> str:
    return "high"


NOT_CALLABLE = 3


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> str:
    """This file under a name that can be imported."""
    monkeypatch.setitem(sys.modules, "own_rewards", sys.modules[__name__])
    return "own_rewards"


def test_a_reward_of_ones_own(here: str) -> None:
    assert find_reward(f"{here}:own_reward") is own_reward
    weighted, parts = total(by_hand(), {f"{here}:own_reward": 2, "ndcg": 0})
    assert weighted == pytest.approx(2 * by_hand().copied_R)
    assert set(parts) == {"own_rewards:own_reward", "ndcg"}


def test_the_old_table_of_rewards_still_answers() -> None:
    with pytest.warns(DeprecationWarning, match=r"thought1\.registry\.REWARDS"):
        from thought1.rewards import REWARDS as old
    assert old == {name: find_reward(name) for name in REWARDS}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mrr", "unknown reward 'mrr': use one of ndcg, log_rank, margin, product, format, "),
        ("no_such_module_at_all:f", "cannot be imported"),
        (":f", "cannot be imported"),
        ("own_rewards:nothing", "has no function 'nothing'"),
        ("own_rewards:NOT_CALLABLE", "has no function 'NOT_CALLABLE'"),
        ("own_rewards:one_number", r"'own_rewards:one_number' returned the shape \(1,\)"),
        ("own_rewards:not_finite", "'own_rewards:not_finite' returned a number that is not finite"),
        ("own_rewards:no_numbers", "'own_rewards:no_numbers' returned no numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_refused_rewards(here: str, name: str, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        compute(name, by_hand())


def test_every_reward_takes_many_rollouts_at_once() -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(-1, 1, (12, 30))
    relevant = np.arange(30) < generator.integers(1, 30, (12, 1))
    together = batch(scores, relevant, lengths=range(12), group_size=4)
    for name in REWARDS:
        alone = [
            compute(name, batch(scores[r : r + 1], relevant[r : r + 1], lengths=[r]))[0]
            for r in range(12)
        ]
        assert compute(name, together) == pytest.approx(alone, abs=1e-12), name


def test_rollouts_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="do not make groups of 3"):
        replace(by_hand(), group_size=3)
    with pytest.raises(ValueError, match="needs a relevant candidate"):
        replace(by_hand(), relevant_RN=np.zeros((4, 3), dtype=np.bool_))
    with pytest.raises(ValueError, match="one shape"):
        replace(by_hand(), relevant_RN=np.ones((4, 2), dtype=np.bool_))
    with pytest.raises(ValueError, match=r"needs the shape \(4,\)"):
        replace(by_hand(), ended_R=np.ones(3, dtype=np.bool_))


def with_texts() -> Rollouts:
    return replace(
        by_hand(),
        questions=("why?",) * 4,
        thoughts=("", "a b", "c", "d e f"),
        token_ids=((), (1,) * 8, (2,) * 12, (3,) * 16),
    )


def reads_texts(rollouts: Rollouts) -> list[int]:
    pairs = zip(rollouts.questions, rollouts.thoughts, rollouts.token_ids, strict=True)
    return [len(question) + len(thought) + sum(ids) for question, thought, ids in pairs]


def fails_without_ids(rollouts: Rollouts) -> list[int]:
    return [rollouts.token_ids[row][0] for row in range(4)]


def test_a_reward_reads_texts_and_ids(here: str) -> None:
    assert compute(f"{here}:reads_texts", with_texts()).tolist() == [4, 4 + 3 + 8, 4 + 1 + 24, 57]


def test_a_reward_that_fails_is_named(here: str) -> None:
    failed = rf"'{here}:fails_without_ids' failed: IndexError: tuple index out of range"
    with pytest.raises(Thought1Error, match=rf"{failed} \(these rollouts have no questions"):
        compute(f"{here}:fails_without_ids", by_hand())
    with pytest.raises(Thought1Error, match=rf"{failed}$"):  # an empty thought has no first token
        compute(f"{here}:fails_without_ids", with_texts())


def test_texts_and_ids_are_of_all_rollouts() -> None:
    for name, value in (("questions", ("why?",)), ("thoughts", ("",) * 5), ("token_ids", ((),))):
        with pytest.raises(ValueError, match="need 4 entries each, or none"):
            replace(by_hand(), **{name: value})
    with pytest.raises(ValueError, match="must be the lengths of token_ids"):
        replace(with_texts(), lengths_R=np.array([1, 8, 12, 16]))


def test_advantages_by_hand() -> None:
    rewards = np.array([1.0, 3.0, 0.1, 0.1, 2.0, 2.0 + 1e-12])
    kept = [True, True, False, False, False, False]
    deviation = {"group": math.sqrt(2), "batch": float(rewards.std(ddof=1))}
    for scale in ("group", "batch", "none"):
        values, kept_R = advantages(rewards, 2, scale)
        unit = 1 / (deviation[scale] + 1e-4) if scale in deviation else 1
        assert values == pytest.approx([-unit, unit, 0, 0, 0, 0])
        assert kept_R.tolist() == kept


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(-2, 2), min_size=4, max_size=4), min_size=1, max_size=5))
def test_advantages_of_a_group_sum_to_zero_and_keep_its_order(groups: list[list[float]]) -> None:
    rewards_GK = np.array(groups)
    values, kept = advantages(rewards_GK.reshape(-1), 4, "group")
    values_GK = values.reshape(-1, 4)
    assert values_GK.sum(axis=1) == pytest.approx(0, abs=1e-6)
    assert kept.reshape(-1, 4)[:, 0].tolist() == (np.ptp(rewards_GK, axis=1) > 1e-8).tolist()
    higher = rewards_GK[:, :1] > rewards_GK
    assert (values_GK[:, :1] >= values_GK)[higher].all()


def test_advantages_need_full_groups() -> None:
    for size in (1, 3):
        with pytest.raises(ValueError, match="do not make groups"):
            advantages(np.zeros(4), size, "group")
