"""The reward lab: the same rollouts under every reward.

How well each reward separates the rollouts of a question, and which rewards agree. It
knows neither files nor a model; `t1 rewards` prints it.

Spearman's rank correlation, ties at their average rank (Spearman 1904): scipy's ranks and Pearson's
correlation of them, for all groups at once as its spearmanr cannot. What counts in training is the
correlation within groups: GRPO compares a rollout with the others of its question, nothing else.

Array names end in their axes: R rollouts, G groups, K rollouts of a group.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from thought1.rewards import NO_SPREAD, Bools, Floats, Rollouts, compute
from thought1.types import Thought1Error


@dataclass(frozen=True, slots=True)
class RewardFigures:
    """One reward on all rollouts."""

    name: str
    mean: float
    spread: float
    """Mean over groups of the sample standard deviation within the group."""
    flat: float
    """Share of groups without variance, of which GRPO learns nothing."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation of two rewards, -1 to 1."""

    first: str
    second: str
    within: float | None
    """Mean over the groups in which both vary; None if there is no such group."""
    groups: int
    """Groups in which both vary."""
    overall: float | None
    """Over all rollouts at once; None if one reward is the same everywhere."""


@dataclass(frozen=True, slots=True)
class LabReport:
    """What `compare_rewards` found."""

    batches: int
    groups: int
    rollouts: int
    rewards: tuple[RewardFigures, ...]
    correlations: tuple[Correlation, ...]
    """One for each pair of rewards."""

    def to_json(self) -> dict[str, Any]:
        """JSON data, the fields by their names."""
        return asdict(self)


def compare_rewards(batches: Sequence[Rollouts], names: Sequence[str]) -> LabReport:
    """Figures of the named rewards (see `thought1.rewards.find_reward`) and of each pair of them.

    Raises:
        Thought1Error: no rollouts, or a reward that is unknown or fails (`rewards.compute`).
    """
    if not any(batch.lengths_R.size for batch in batches):
        raise Thought1Error("there are no rollouts to compare rewards on")
    values = {
        name: [compute(name, batch).reshape(-1, batch.group_size) for batch in batches]
        for name in names
    }
    return LabReport(
        batches=len(batches),
        groups=sum(len(batch.lengths_R) // batch.group_size for batch in batches),
        rollouts=sum(len(batch.lengths_R) for batch in batches),
        rewards=tuple(_figures(name, groups) for name, groups in values.items()),
        correlations=_correlations(values),
    )


def _figures(name: str, batches: Sequence[Floats]) -> RewardFigures:
    everything = np.concatenate([values_GK.reshape(-1) for values_GK in batches])
    # A group of one rollout has no sample deviation; its spread is 0.
    spreads_G = np.concatenate(
        [values_GK.std(axis=1, ddof=min(1, values_GK.shape[1] - 1)) for values_GK in batches]
    )
    varies_G = np.concatenate([_varies(values_GK) for values_GK in batches])
    return RewardFigures(
        name, float(everything.mean()), float(spreads_G.mean()), float(1 - varies_G.mean())
    )


@dataclass(frozen=True, slots=True)
class _Ranked:
    ranks_GK: Floats
    """From 1 within each group, ties at their average."""
    varies_G: Bools


def _correlations(values: Mapping[str, Sequence[Floats]]) -> tuple[Correlation, ...]:
    """`values`: reward -> for each batch its rewards, (G, K)."""
    within = {name: [_ranked(values_GK) for values_GK in groups] for name, groups in values.items()}
    overall = {
        name: [_ranked(np.concatenate([values_GK.reshape(1, -1) for values_GK in groups], axis=1))]
        for name, groups in values.items()
    }
    found = []
    for first, second in itertools.combinations(values, 2):
        inside_G = _spearman(within[first], within[second])
        outside = _spearman(overall[first], overall[second])
        found.append(Correlation(first, second, _mean(inside_G), inside_G.size, _mean(outside)))
    return tuple(found)


def _varies(values_GK: Floats) -> Bools:
    """Which groups have variance, beyond rounding; shape (G,)."""
    varies_G: Bools = np.ptp(values_GK, axis=1) > NO_SPREAD
    return varies_G


def _ranked(values_GK: Floats) -> _Ranked:
    from scipy.stats import rankdata

    return _Ranked(rankdata(values_GK, axis=1), _varies(values_GK))


def _spearman(first: Sequence[_Ranked], second: Sequence[_Ranked]) -> Floats:
    """The correlation of each group in which both vary; batch by batch."""
    from scipy.stats import pearsonr

    found = [np.zeros(0)]
    for a, b in zip(first, second, strict=True):
        both_G = a.varies_G & b.varies_G
        if both_G.any():
            found.append(pearsonr(a.ranks_GK[both_G], b.ranks_GK[both_G], axis=1).statistic)
    return np.concatenate(found)


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size else None
