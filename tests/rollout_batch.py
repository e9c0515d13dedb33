"""Batches of rollouts for the tests of rewards: only what a test is about need be said."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from thought1.data.rollouts import RolloutText
from thought1.rewards import Rollouts


def batch(
    scores: npt.ArrayLike,
    relevant: npt.ArrayLike,
    *,
    lengths: Sequence[int] | None = None,
    ended: Sequence[bool] | None = None,
    repeated: Sequence[float] | None = None,
    group_size: int = 1,
) -> Rollouts:
    """`relevant` holds 0 and 1; thoughts have 4 tokens and end by themselves unless said."""
    rows = len(np.asarray(scores))
    return Rollouts(
        scores_RN=np.array(scores, dtype=np.float32),
        relevant_RN=np.array(relevant, dtype=np.bool_),
        lengths_R=np.array([4] * rows if lengths is None else lengths, dtype=np.int64),
        ended_R=np.array([True] * rows if ended is None else ended, dtype=np.bool_),
        repeated_R=np.array([0.0] * rows if repeated is None else repeated, dtype=np.float64),
        copied_R=np.linspace(0, 1, rows),
        group_size=group_size,
        budget=16,
        length_target=8,
    )


def told(rollouts: Rollouts) -> list[RolloutText]:
    """A question for each group, a thought for each rollout."""
    return [
        RolloutText(
            f"q{row // rollouts.group_size}", "Why is ice löslich?\n", f"thought {row}", not ended
        )
        for row, ended in enumerate(rollouts.ended_R)
    ]
