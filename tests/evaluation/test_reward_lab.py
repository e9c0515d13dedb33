"""The reward lab: figures by hand, and the rank correlation against another implementation."""

import json
import math

import numpy as np
import pytest
from rollout_batch import batch
from scipy import stats

from thought1.evaluation.reward_lab import Correlation, compare_rewards
from thought1.rewards import REWARDS, Rollouts, compute
from thought1.types import Thought1Error


def pair_of_groups() -> Rollouts:
    """Two groups of three: lengths 8, 12, 16 twice; the second group repeats nothing."""
    return batch(
        [[0.5, 0.1]] * 6,
        [[1, 0]] * 6,
        lengths=[8, 12, 16] * 2,
        ended=[False] * 6,
        repeated=[0.0, 0.5, 0.25, 0, 0, 0],
        group_size=3,
    )


def test_figures_by_hand() -> None:
    report = compare_rewards([pair_of_groups()], ["length", "repetition", "format"])
    assert (report.batches, report.groups, report.rollouts) == (1, 2, 6)
    length, repetition, form = report.rewards
    assert (length.mean, length.spread, length.flat) == pytest.approx((0.5, 0.5, 0))
    assert (repetition.mean, repetition.spread, repetition.flat) == pytest.approx(
        (-0.125, 0.125, 0.5)
    )
    assert (form.mean, form.spread, form.flat) == (0, 0, 1)
    # Ranks 3 2 1 and 3 1 2 in the one group where both vary: 1/2. Over all, with average ranks:
    # length 5.5 3.5 1.5 5.5 3.5 1.5; repetition 4.5 1 2 4.5 4.5 4.5: 5 / sqrt(16 x 12.5).
    found, *rest = report.correlations
    assert (found.first, found.second, found.groups) == ("length", "repetition", 1)
    assert found.within == pytest.approx(0.5)
    assert found.overall == pytest.approx(5 / math.sqrt(16 * 12.5))
    assert rest == [
        Correlation("length", "format", None, 0, None),
        Correlation("repetition", "format", None, 0, None),
    ]
    json.dumps(report.to_json(), allow_nan=False)


def test_batches_of_different_sizes_against_scipy() -> None:
    generator = np.random.default_rng(1)
    batches = []
    for candidates, group_size in ((4, 3), (12, 5)):
        rows = 2 * group_size
        scores = generator.uniform(-1, 1, (rows, candidates))
        relevant = np.tile(np.arange(candidates) < 2, (rows, 1))
        batches.append(batch(scores, relevant, group_size=group_size))
    report = compare_rewards(batches, ["ndcg", "margin"])
    (found,) = report.correlations
    values = {
        name: [compute(name, each).reshape(-1, each.group_size) for each in batches]
        for name in ("ndcg", "margin")
    }
    groups = [
        (a, b)
        for first, second in zip(values["ndcg"], values["margin"], strict=True)
        for a, b in zip(first, second, strict=True)
        if np.ptp(a) > 0 and np.ptp(b) > 0
    ]
    assert found.groups == len(groups) > 1
    within = [stats.spearmanr(a, b).statistic for a, b in groups]
    assert found.within == pytest.approx(np.mean(within))
    everything = [np.concatenate([v.reshape(-1) for v in values[name]]) for name in values]
    assert found.overall == pytest.approx(stats.spearmanr(*everything).statistic)


def test_a_reward_agrees_with_itself_and_groups_of_one_say_nothing() -> None:
    scores = np.linspace(-0.5, 0.5, 12).reshape(6, 2)[:, ::-1]
    together = batch(scores * np.linspace(1, 2, 6)[:, None], [[1, 0]] * 6, group_size=3)
    (found,) = compare_rewards([together], ["margin", "product"]).correlations
    assert found.within == pytest.approx(1)
    alone = compare_rewards([batch([[0.5, 0.1]], [[1, 0]])], list(REWARDS))
    assert {figures.flat for figures in alone.rewards} == {1}
    assert {figures.spread for figures in alone.rewards} == {0}


def test_no_rollouts() -> None:
    with pytest.raises(Thought1Error, match="no rollouts"):
        compare_rewards([], ["ndcg"])
