"""Reciprocal rank fusion, by hand; its invariants are in properties/."""

import pytest

from thought1.search.fuse import reciprocal_rank_fusion
from thought1.types import Ranking


def ranking(ids: str) -> Ranking:
    return [(id_, -float(i)) for i, id_ in enumerate(ids)]


def test_scores_by_hand() -> None:
    fused = reciprocal_rank_fusion([ranking("abc"), ranking("ca")])
    expected = {"a": 1 / 61 + 1 / 62, "c": 1 / 63 + 1 / 61, "b": 1 / 62}
    assert [id_ for id_, _ in fused] == ["a", "c", "b"]
    assert dict(fused) == pytest.approx(expected, abs=1e-15)


def test_weights_and_k() -> None:
    fused = reciprocal_rank_fusion([ranking("ab"), ranking("ba")], k=0, weights=[1, 3])
    assert fused == [("b", 3 + 1 / 2), ("a", 1 + 3 / 2)]


def test_ties_follow_the_ids() -> None:
    fused = reciprocal_rank_fusion([ranking("ba"), ranking("ab"), ranking("c")], k=60)
    assert [id_ for id_, _ in fused] == ["a", "b", "c"]


def test_a_repeated_id_counts_once_at_its_first_place() -> None:
    assert reciprocal_rank_fusion([ranking("aab")], k=0) == [("a", 1.0), ("b", 0.5)]


def test_nothing_gives_nothing() -> None:
    assert reciprocal_rank_fusion([]) == []
    assert reciprocal_rank_fusion([[], []]) == []
    assert reciprocal_rank_fusion([[], ranking("a")], k=0) == [("a", 1.0)]


@pytest.mark.parametrize(
    ("k", "weights", "message"),
    [(60, [1.0], "1 weights"), (-1, None, "negative"), (60, [1.0, -1.0], "negative")],
)
def test_wrong_arguments(k: int, weights: list[float] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        reciprocal_rank_fusion([ranking("a"), ranking("b")], k, weights)
