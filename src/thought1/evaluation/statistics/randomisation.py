"""Do two systems differ on the same queries? Randomisation test, Holm's correction, wins.

Knows nothing of runs and measures: it is given one value per query. Intervals are in
`thought1.evaluation.statistics.protocol`.

Sources: Fisher 1935, The Design of Experiments (the sign-flip test); Smucker, Allan and Carterette
2007, A Comparison of Statistical Significance Tests for Information Retrieval Evaluation (why this
test for retrieval); Phipson and Smyth 2010, Permutation P-values Should Never Be Zero ((b + 1) /
(m + 1)); Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLES = 100_000
"""Random sign patterns where there are too many to go through: p is then known to about 0.001."""

EXACT = 20
"""Most queries with a difference whose 2^n sign patterns are all gone through (4 MB)."""

EQUAL = 1e-9
"""Values that differ by less are the same measurement; nothing in the measures is finer."""

_BLOCK = 2**21
"""Signs drawn at once, which bounds the memory at about 16 MB whatever the number of queries."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Randomisation:
    """What the test found."""

    p: float
    """Two-sided: how often random signs give a mean difference at least as far from 0."""
    exact: bool
    """All sign patterns were gone through; otherwise `SAMPLES` random ones."""


@dataclass(frozen=True, slots=True)
class Wins:
    """Queries on which the first system is better, equal, worse."""

    wins: int
    ties: int
    losses: int


def randomisation_test(
    differences: Sequence[float], *, samples: int = SAMPLES, seed: int = 0
) -> Randomisation:
    """Paired randomisation test of mean difference 0.

    If the two systems are the same, each query's difference could as well have the other sign.
    Queries without a difference change nothing and are not flipped. Not scipy's permutation_test:
    that doubles the smaller tail, a noisier p where signs are drawn, and is many times slower.

    Args:
        differences: a - b for each query, at least one.
        samples: random sign patterns, where more than `EXACT` queries differ.
        seed: of these patterns; without influence on an exact result.
    """
    if not differences or samples < 1:
        raise ValueError("randomisation_test needs differences, and samples >= 1")
    values: Floats = np.asarray(differences, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("randomisation_test needs finite differences")
    values = values[np.abs(values) > EQUAL]
    # A sum that is equal up to rounding is "at least as far".
    limit = abs(values.sum()) - EQUAL
    if len(values) <= EXACT:
        return Randomisation(_exact(values, limit), exact=True)
    far = _count_far(values, limit, samples, np.random.default_rng(seed))
    return Randomisation((far + 1) / (samples + 1), exact=False)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values: those below alpha are significant together at the level alpha.

    Holm's step-down method; it needs no independence. Keys keep their order.
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for position, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, (len(p_values) - position) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def count_wins(differences: Sequence[float]) -> Wins:
    """Differences above, at and below 0; closer to 0 than `EQUAL` is a tie."""
    wins = sum(difference > EQUAL for difference in differences)
    losses = sum(difference < -EQUAL for difference in differences)
    return Wins(wins, len(differences) - wins - losses, losses)


def _exact(values: Floats, limit: float) -> float:
    if not len(values):
        return 1.0
    # The first sign stays: turning all signs gives the same distance from 0.
    sums: Floats = values[:1]
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= limit))


def _count_far(values: Floats, limit: float, samples: int, rng: np.random.Generator) -> int:
    """How many of `samples` random sign patterns give a sum at least `limit` from 0."""
    width = -(-len(values) // 8)
    rows = max(1, _BLOCK // (8 * width))
    far = 0
    for start in range(0, samples, rows):
        count = min(rows, samples - start)
        octets = np.frombuffer(rng.bytes(count * width), np.uint8).reshape(count, width)
        flipped = np.unpackbits(octets, axis=1, count=len(values))
        sums = values.sum() - 2 * (flipped.astype(np.float64) @ values)
        far += int(np.count_nonzero(np.abs(sums) >= limit))
    return far
