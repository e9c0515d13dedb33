"""The randomisation test, Holm's correction and wins, against hand-made and repeated cases."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from thought1.evaluation.statistics.randomisation import (
    EXACT,
    Randomisation,
    Wins,
    count_wins,
    holm,
    randomisation_test,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "statistics.md"


def by_enumeration(differences: list[float]) -> float:
    """Slow and plain: every pattern of signs, zeros included."""
    observed = abs(sum(differences))
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(found >= observed - 1e-9 for found in sums) / len(sums)


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.5], 1.0),
        ([0.0, 0.0], 1.0),
        ([0.1, -0.1], 1.0),
        ([0.1, 0.1, 0.1], 2 / 8),  # all signs alike, either way
        ([0.1, 0.2, 0.3, -0.05], 4 / 16),  # the small one may turn
        ([1.0] * 10, 2 / 1024),
    ],
)
def test_by_hand(differences: list[float], p: float) -> None:
    for sign in (1, -1):
        found = randomisation_test([sign * value for value in differences])
        assert found == Randomisation(pytest.approx(p, abs=1e-12), exact=True)


def test_exact_equals_plain_enumeration() -> None:
    rng = np.random.default_rng(0)
    for size in range(1, 11):
        # Few distinct values, so that sums tie, and do so only but for rounding.
        differences = (rng.integers(-3, 5, size=size) / 10).tolist()
        found = randomisation_test(differences)
        assert found.exact
        assert found.p == pytest.approx(by_enumeration(differences), abs=1e-12)


def test_equal_queries_do_not_count() -> None:
    differences = [0.3, 0.1, -0.2]
    padded = [*differences, *[0.0] * 500]
    assert randomisation_test(padded) == randomisation_test(differences)


def test_monte_carlo_approaches_the_exact_value() -> None:
    """25 equal differences, 18 up: the two-sided sign test, from the binomial distribution."""
    differences = [0.25] * 18 + [-0.25] * 7
    heads = [len(list(itertools.combinations(range(25), k))) for k in range(8)]
    found = randomisation_test(differences)
    assert not found.exact
    assert found.p == pytest.approx(2 * sum(heads) / 2**25, abs=0.003)


def test_monte_carlo_is_never_zero_and_seeded() -> None:
    certain = randomisation_test([1.0] * 100, samples=999)
    assert certain == Randomisation(1 / 1000, exact=False)
    values = np.random.default_rng(1).normal(0.1, 1, size=60).tolist()
    assert randomisation_test(values, seed=3) == randomisation_test(values, seed=3)
    assert randomisation_test(values, seed=3) != randomisation_test(values, seed=4)


def test_blocks_do_not_change_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole octets of signs are drawn, so the draws are the same in blocks of any size."""
    values = np.random.default_rng(2).normal(0.1, 1, size=48).tolist()
    whole = randomisation_test(values, samples=5000)
    # A row of signs is 6 octets; blocks of an even number of rows end on whole 32-bit draws.
    monkeypatch.setattr("thought1.evaluation.statistics.randomisation._BLOCK", 48 * 100)
    assert randomisation_test(values, samples=5000) == whole


def test_a_planted_difference_is_found() -> None:
    """0.08 better in the mean over 60 queries with a spread of 0.2: power of about 0.87."""
    rng = np.random.default_rng(3)
    found = [
        randomisation_test(rng.normal(0.08, 0.2, 60).tolist(), samples=1000).p < 0.05
        for _ in range(100)
    ]
    assert sum(found) > 75


@pytest.mark.parametrize("queries", [12, 40])
def test_a_planted_null_is_judged_right(queries: int) -> None:
    """Two equal systems, skewed values, many ties: wrong in 5% of 1000 repetitions, not more.

    0.05 +- 3 standard errors; the lower end shows that the test is not merely timid.
    """
    rng = np.random.default_rng(queries)
    wrong = 0
    for repetition in range(1000):
        a, b = rng.beta(0.5, 1.5, size=(2, queries))
        a = np.where(rng.random(queries) < 0.2, b, a)
        p = randomisation_test((a - b).tolist(), samples=999, seed=repetition).p
        wrong += p <= 0.05
    assert 0.029 < wrong / 1000 < 0.071
    assert (queries <= EXACT) == (queries == 12)  # both ways of counting are tried


def test_holm() -> None:
    found = holm({"c": 0.04, "a": 0.01, "d": 0.9, "b": 0.03})
    assert found == pytest.approx({"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.9})
    assert list(found) == ["c", "a", "d", "b"]
    assert holm({"one": 0.02}) == {"one": 0.02}
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_holm_keeps_the_familywise_error() -> None:
    """12 subsets without a difference: some p is below 0.05 in 46% of cases, of Holm's in 5%."""
    p_values = np.random.default_rng(4).random((2000, 12))
    alone = np.mean([row.min() < 0.05 for row in p_values])
    adjusted = [min(holm(dict(enumerate(row.tolist()))).values()) < 0.05 for row in p_values]
    assert alone > 0.4
    assert 0.03 < np.mean(adjusted) < 0.07


def test_count_wins() -> None:
    assert count_wins([0.1, -0.2, 0.0, 1e-12, -1e-12, 0.3]) == Wins(wins=2, ties=3, losses=1)
    assert count_wins([]) == Wins(0, 0, 0)


@pytest.mark.parametrize("bad", [[], [float("nan")], [0.1, float("inf")]])
def test_senseless_input_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="randomisation_test needs"):
        randomisation_test(bad)


def test_the_page_is_right() -> None:
    text = PAGE.read_text(encoding="utf-8")
    differences, p, before, after = (
        [float(number) for number in block.split()]
        for block in re.findall(r"```(?:differences|p|p-values|holm)\n(.*?)```", text, re.DOTALL)
    )
    assert [randomisation_test(differences).p] == pytest.approx(p)
    names = [str(number) for number in range(len(before))]
    assert list(holm(dict(zip(names, before, strict=True))).values()) == pytest.approx(after)
