"""Several thoughts about one query: what fuses them, what chooses one, and how sure they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thought1.index import Index
from thought1.search.fuse import reciprocal_rank_fusion, score_fusion
from thought1.search.options import Combination, SearchOptions
from thought1.search.several import agreements, confidence, rank_biased_overlap, weighted
from thought1.testing import FakeModel
from thought1.types import Document, Ranking, Sampling, SearchResult, Thought, Thought1Error

QUESTION = "alpha question"
SAMPLES = ["red red red", "green green green", "green green lime", "blue blue blue"]
DOCUMENTS = [
    Document("red", "red red crimson"),
    Document("green", "green green lime"),
    Document("blue", "blue blue navy"),
    Document("alpha", "alpha blue"),
    Document("question", "question red"),
    Document("other", "nothing of it"),
]


class Sampler(FakeModel):
    """Thinks a fixed thought for each sample."""

    def think(
        self, queries: Sequence[str], *, budget: int | None = None, samples: int = 1, **more: Any
    ) -> list[Thought]:
        if budget == 0:
            return super().think(queries, budget=0, **more)
        chosen = SAMPLES[:samples]
        return [
            Thought(text, tuple(range(3)), "budget", self.vector(f"{query} {text}"))
            for query in queries
            for text in chosen
        ]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    found = Index.create(tmp_path / "colours.index", Sampler())
    found.add(DOCUMENTS)
    return found


def ranked(*ids: str) -> Ranking:
    return [(id_, 1.0 / rank) for rank, id_ in enumerate(ids, start=1)]


def search(index: Index, question: str = QUESTION, **options: Any) -> SearchResult:
    chosen = SearchOptions(**{"mode": "dense", "samples": 4, "think": 3, **options})
    (result,), _ = index.search_many([question], chosen)
    return result


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def alone(index: Index, question: str = QUESTION) -> list[SearchResult]:
    """What each sample retrieves by itself."""
    thoughts = Sampler().think([question], samples=4)
    return [index.search(question, mode="dense", thoughts=[thought]) for thought in thoughts]


# -- how alike rankings and vectors are ----------------------------------------------------------


def test_rank_biased_overlap() -> None:
    same = ranked("a", "b", "c")
    assert rank_biased_overlap(same, same) == pytest.approx(1)
    assert rank_biased_overlap(same, ranked("x", "y", "z")) == 0
    # By hand, p = 0.9: overlaps 0, 1 and 1 at the depths 1, 2 and 3.
    swapped = rank_biased_overlap(same, ranked("b", "a", "c"))
    assert swapped == pytest.approx((0.9 + 0.81) / (1 + 0.9 + 0.81))
    top, bottom = (
        rank_biased_overlap(same, ranked(*r)) for r in (("a", "x", "y"), ("x", "y", "a"))
    )
    assert top > bottom > 0
    assert rank_biased_overlap([], []) == rank_biased_overlap(same, []) == 0
    assert rank_biased_overlap(same, ranked("a", "a", "a")) < 1  # a document counts once


def test_agreement_is_with_the_others() -> None:
    first, second, odd = ranked("a", "b"), ranked("a", "b"), ranked("x", "y")
    assert agreements([first, second, odd]) == pytest.approx([0.5, 0.5, 0])
    assert agreements([first]) == [0]


def test_confidence_is_the_mean_cosine_of_pairs() -> None:
    vectors = np.eye(3, 4, dtype=np.float32)
    assert confidence(vectors) == pytest.approx(0)
    assert confidence(vectors[[0, 0, 0]]) == pytest.approx(1)
    assert confidence(vectors[[0, 0, 1]]) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="agreement needs two thoughts"):
        confidence(vectors[:1])


def test_a_mean_by_weights() -> None:
    vectors = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(weighted(vectors, [1, 0]), [1, 0])
    half = np.full(2, 0.5**0.5)
    np.testing.assert_allclose(weighted(vectors, [0, 0]), half, rtol=1e-6)
    np.testing.assert_allclose(weighted(vectors, [0.3, 0.3]), half, rtol=1e-6)


# -- a search ------------------------------------------------------------------------------------


def test_rankings_are_fused_by_rank(index: Index) -> None:
    rankings = [[(hit.id, hit.score) for hit in one.hits] for one in alone(index)]
    result = search(index, combine="rank")
    expected = reciprocal_rank_fusion(rankings)
    assert ids(result) == [id_ for id_, _ in expected]
    assert [hit.score for hit in result.hits] == pytest.approx([score for _, score in expected])


def test_thoughts_that_agree_weigh_more(index: Index) -> None:
    rankings = [[(hit.id, hit.score) for hit in one.hits] for one in alone(index)]
    thoughts = Sampler().think([QUESTION], samples=4)
    vector = weighted(np.stack([t.vector for t in thoughts]), agreements(rankings))
    expected = index.search(QUESTION, mode="dense", thoughts=[Thought("", (), "edited", vector)])
    result = search(index, combine="agreement")
    assert ids(result) == ids(expected)
    assert [h.score for h in result.hits] == pytest.approx([h.score for h in expected.hits])
    mean = search(index)
    assert [h.score for h in mean.hits] != pytest.approx([h.score for h in expected.hits])


@pytest.mark.parametrize("rule", ["like-bare", "like-bm25", "like-others"])
def test_one_thought_is_chosen_by_what_it_retrieves(index: Index, rule: Combination) -> None:
    question = "navy question blue" if rule == "like-bm25" else QUESTION
    single = alone(index, question)
    rankings = [[(hit.id, hit.score) for hit in one.hits] for one in single]
    if rule == "like-others":
        alike = agreements(rankings)
    else:
        reference = index.search(question, mode="bm25" if rule == "like-bm25" else "dense", think=0)
        listed = [(hit.id, hit.score) for hit in reference.hits]
        alike = [rank_biased_overlap(ranking, listed) for ranking in rankings]
    best = int(np.argmax(alike))
    result = search(index, question, combine=rule)
    assert ids(result) == ids(single[best])
    assert [t.text for t in result.thoughts] == [
        SAMPLES[best], *SAMPLES[:best], *SAMPLES[best + 1 :]
    ]  # fmt: skip
    if rule == "like-bm25":
        assert SAMPLES[best] == "blue blue blue"
    if rule == "like-others":
        assert SAMPLES[best].startswith("green")


def test_of_equally_good_thoughts_the_first_is_chosen(index: Index) -> None:
    """No word of it is known to BM25, so that no thought is more alike than another."""
    assert search(index, "zyxw", combine="like-bm25").thoughts[0].text == SAMPLES[0]


def test_few_hits_are_those_of_many(index: Index) -> None:
    for rule in ("rank", "agreement", "like-bare", "like-others"):
        assert ids(search(index, k=2, combine=rule)) == ids(search(index, combine=rule))[:2]
        assert (
            ids(search(index, k=2, offset=1, combine=rule)) == ids(search(index, combine=rule))[1:3]
        )


def test_hybrid_fuses_what_was_combined(index: Index) -> None:
    dense = search(index, combine="like-others")
    words = index.search(QUESTION, mode="bm25")
    pairs = [[(hit.id, hit.score) for hit in side.hits] for side in (dense, words)]
    hybrid = search(index, combine="like-others", mode="hybrid")
    assert ids(hybrid) == [id_ for id_, _ in score_fusion(*pairs)]


# -- confidence ----------------------------------------------------------------------------------


def test_dispersion_is_told_as_confidence(index: Index) -> None:
    vectors = np.stack([t.vector for t in Sampler().think([QUESTION], samples=4)])
    result = search(index)
    assert result.confidence == pytest.approx(confidence(vectors))
    assert not result.fell_back
    assert search(index, samples=1).confidence is None


def test_low_confidence_falls_back_to_hybrid(index: Index) -> None:
    sure = search(index)
    assert sure.confidence is not None
    hybrid, dense = search(index, mode="hybrid"), search(index)
    assert ids(hybrid) != ids(dense)
    low = search(index, min_confidence=sure.confidence + 0.01)
    assert (low.fell_back, low.hits) == (True, hybrid.hits)
    enough = search(index, min_confidence=sure.confidence - 0.01)
    assert (enough.fell_back, enough.hits) == (False, dense.hits)


def test_each_query_falls_back_for_itself(index: Index) -> None:
    questions = [QUESTION, "red green blue lime"]
    options = SearchOptions(mode="dense", samples=4, think=3)
    both, _ = index.search_many(questions, options)
    first, second = (result.confidence for result in both)
    assert first is not None and second is not None and first < second
    between = SearchOptions(mode="dense", samples=4, think=3, min_confidence=(first + second) / 2)
    found, receipt = index.search_many(questions, between)
    assert [result.fell_back for result in found] == [True, False]
    assert found[1].hits == both[1].hits
    assert "fall-back" in receipt.milliseconds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"combine": "median", "samples": 2}, "one of mean, rank, .*, not 'median'"),
        ({"combine": "rank"}, "rank combines several thoughts: ask for 2 samples or more"),
        ({"min_confidence": 0.5}, "how much several thoughts agree: ask for 2 samples"),
        ({"min_confidence": 2, "samples": 2}, "a cosine from -1 to 1, not 2"),
        ({"min_confidence": float("nan"), "samples": 2}, "a cosine from -1 to 1, not nan"),
        ({"min_confidence": 0.5, "samples": 2}, "fall back from mode dense to hybrid"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        SearchOptions(**options)


def test_sampling_is_that_of_several_thoughts(tmp_path: Path) -> None:
    model = FakeModel(knowledge={QUESTION: "red green"})
    index = Index.create(tmp_path / "plain.index", model)
    index.add(DOCUMENTS)
    index.search_many([QUESTION], SearchOptions(samples=2, combine="like-bare", think=2))
    assert model.samplings == [model.sampled, model.greedy]
    warm = Sampling(0.9, seed=4)
    index.search_many([QUESTION], SearchOptions(samples=2, think=2, sampling=warm))
    assert model.samplings[-1] == warm
