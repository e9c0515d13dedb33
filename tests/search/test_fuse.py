"""Both fusions, by hand; their invariants are in properties/."""

import pytest

from thought1.search.fuse import certainty, reciprocal_rank_fusion, score_fusion
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


# -- by scores -------------------------------------------------------------------------------------

DENSE = [("a", 1.0), ("b", 0.625), ("c", 0.5)]


def many(first: float, rest: float) -> list[tuple[str, float]]:
    """Twelve documents that match: x, then y0 to y10, a little worse from one to the next."""
    return [("x", first), *((f"y{i}", rest - i / 100) for i in range(11))]


def test_certainty_is_the_distance_to_the_tenth() -> None:
    assert certainty(many(8.0, 4.08)) == pytest.approx(0.5)
    assert certainty(many(4.1, 4.1)) == pytest.approx(0.08 / 4.1)
    assert certainty([("x", 3.0), ("y", 2.9)]) == 1  # eight of ten have no word of the query
    assert certainty([]) == certainty([("x", 0.0)]) == 0


def test_fused_scores_by_hand() -> None:
    # Certainty 1; b is at a quarter of the dense scores, c at their end: agreement 1/12.
    words, share = [("c", 6.0), ("b", 3.0)], (1.0 * 0 + 0.5 * 0.25) / 1.5
    parts = {"a": (1 - share, 0.0), "c": (0.0, 1 / 2), "b": ((1 - share) / 4, 1 / 2 / 2 * 0.5)}
    for weight in (1.0, 3.0):
        expected = {id_: vectors + weight * bm25 for id_, (vectors, bm25) in parts.items()}
        fused = score_fusion(DENSE, words, (1.0, weight))
        assert dict(fused) == pytest.approx(expected)
        assert [id_ for id_, _ in fused] == sorted(expected, key=lambda id_: -expected[id_])


def test_what_the_vectors_confirm_weighs_more() -> None:
    # c² a with a = 3/4 would be more than the most that words weigh, which is a half.
    near = [("a", 1.0), ("b", 0.75), ("c", 0.0)]
    assert score_fusion(near, [("b", 9.0)]) == [("b", 0.5 * 0.75 + 0.5), ("a", 0.5), ("c", 0.0)]


def test_a_side_that_matches_everything_alike_does_no_harm() -> None:
    fused = score_fusion(DENSE, many(4.1, 4.1))
    assert [id_ for id_, _ in fused[:2]] == ["a", "b"]


def test_a_word_that_one_document_has_brings_it_up() -> None:
    assert score_fusion(DENSE, [("c", 9.0)]) == [("a", 1.0), ("c", 0.5), ("b", 0.25)]
    assert score_fusion(DENSE, [("z", 9.0)])[1] == ("z", 0.5)


def test_words_that_lead_elsewhere_do_no_harm() -> None:
    """A rare name in nine documents, of which the vectors find none: the first one comes in."""
    named = [(f"n{i}", 9.0 - i / 2) for i in range(9)]
    vectors = [(f"v{i}", 1.0 - i / 10) for i in range(10)]
    fused = [id_ for id_, _ in score_fusion(vectors, named)]
    assert fused[:6] == ["v0", "v1", "v2", "v3", "v4", "n0"]


def test_a_side_without_weight_or_hits_is_left_out() -> None:
    words = [("z", 2.0), ("a", 1.0)]
    assert [id_ for id_, _ in score_fusion(DENSE, words, (1, 0))] == ["a", "b", "c"]
    assert score_fusion(DENSE, words, (0, 1)) == [("z", 1.0), ("a", 0.5)]
    assert [id_ for id_, _ in score_fusion(DENSE, [])] == ["a", "b", "c"]
    assert score_fusion([], words) == [("z", 0.5), ("a", 0.125)]
    assert score_fusion([], []) == []
    assert score_fusion([("a", -0.2)], []) == [("a", 1.0)]
