"""Invariants of both fusions."""

from hypothesis import given
from hypothesis import strategies as st

from thought1.search.fuse import reciprocal_rank_fusion, score_fusion
from thought1.types import Ranking

IDS = st.lists(st.sampled_from([f"doc-{i}" for i in range(12)]), max_size=12, unique=True)
RANKINGS = st.lists(IDS.map(lambda ids: [(id_, 1.0 / (1 + i)) for i, id_ in enumerate(ids)]))
K = st.integers(0, 100)


@given(rankings=RANKINGS, k=K, data=st.data())
def test_the_order_of_the_rankings_does_not_matter(
    rankings: list[Ranking], k: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rankings))
    assert reciprocal_rank_fusion(shuffled, k) == reciprocal_rank_fusion(rankings, k)


@given(rankings=RANKINGS, k=K)
def test_it_holds_every_document_once_best_first(rankings: list[Ranking], k: int) -> None:
    fused = reciprocal_rank_fusion(rankings, k)
    ids = [id_ for id_, _ in fused]
    assert sorted(ids) == sorted({id_ for ranking in rankings for id_, _ in ranking})
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)
    most = len(rankings) / (k + 1)
    assert all(0 < score < most * (1 + 1e-12) for score in scores)


@given(rankings=st.lists(IDS, min_size=1), k=K)
def test_what_is_first_everywhere_is_first(rankings: list[list[str]], k: int) -> None:
    with_winner = [[("winner", 1.0), *((id_, 0.0) for id_ in ids)] for ids in rankings]
    assert reciprocal_rank_fusion(with_winner, k)[0][0] == "winner"


@given(ranking=RANKINGS.map(lambda rankings: rankings[0] if rankings else []), k=K)
def test_one_ranking_keeps_its_order(ranking: Ranking, k: int) -> None:
    assert [id_ for id_, _ in reciprocal_rank_fusion([ranking], k)] == [id_ for id_, _ in ranking]


@given(rankings=st.lists(IDS, min_size=1, max_size=4), k=K, data=st.data())
def test_moving_up_never_lowers_a_document(
    rankings: list[list[str]], k: int, data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(rankings) - 1))
    ids = rankings[which]
    if len(ids) < 2:
        return
    place = data.draw(st.integers(1, len(ids) - 1))
    raised = [*ids[: place - 1], ids[place], ids[place - 1], *ids[place + 1 :]]

    def fused_rank(lists: list[list[str]]) -> int:
        fused = reciprocal_rank_fusion([[(id_, 0.0) for id_ in one] for one in lists], k)
        return [id_ for id_, _ in fused].index(ids[place])

    moved = [*rankings[:which], raised, *rankings[which + 1 :]]
    assert fused_rank(moved) <= fused_rank(rankings)


SCORED = st.dictionaries(
    st.sampled_from([f"doc-{i}" for i in range(30)]), st.floats(0.01, 50), max_size=30
).map(lambda scores: sorted(scores.items(), key=lambda item: (-item[1], item[0])))


@given(dense=SCORED, bm25=SCORED, scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_scales_of_the_scores_do_not_matter(
    dense: Ranking, bm25: Ranking, scale: float, shift: float
) -> None:
    expected = dict(score_fusion(dense, bm25))
    moved = [(id_, scale * score + shift) for id_, score in dense]
    found = dict(score_fusion(moved, [(id_, scale * score) for id_, score in bm25]))
    assert found.keys() == expected.keys()
    # Scores that differ by rounding alone may become equal.
    close = [abs(a - b) for a in dict(dense).values() for b in dict(dense).values() if a != b]
    if not close or min(close) > 1e-6:
        assert all(abs(found[id_] - value) < 1e-6 for id_, value in expected.items())


@given(dense=SCORED, bm25=SCORED)
def test_score_fusion_holds_every_document_once_best_first(dense: Ranking, bm25: Ranking) -> None:
    fused = score_fusion(dense, bm25)
    assert sorted(id_ for id_, _ in fused) == sorted({id_ for id_, _ in [*dense, *bm25]})
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1.5 + 1e-12 for score in scores)
