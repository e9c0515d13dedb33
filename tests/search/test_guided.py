"""A walk over near documents that a reranker guides: what it reads, what a search makes of it."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thought1.index import Index
from thought1.search.guided import DEGREE, STARTS, guided
from thought1.search.options import Mode, SearchOptions
from thought1.store.lance import LanceStore
from thought1.testing import FakeModel
from thought1.types import Document, Ranking, Reranked, StoredRow, Thought1Error

DEGREES = range(-40, 41)
QUERY = np.array([[1.0, 0.0]], np.float32)


def row(degree: int) -> StoredRow:
    angle = math.radians(degree)
    vector = np.array([math.cos(angle), math.sin(angle)], np.float32)
    metadata = {"side": "left" if degree < 0 else "right"}
    return StoredRow(Document(str(degree), f"at {degree}", metadata=metadata), vector, "h")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LanceStore:
    """Documents on an arc, a degree between neighbours; the query is in the middle."""
    made = LanceStore.create(tmp_path_factory.mktemp("guided") / "store", 2, {})
    made.upsert([row(degree) for degree in DEGREES])
    return made


class Readings:
    """The further to the right, the better; what was read, call by call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, ids: Sequence[str]) -> dict[str, float]:
        self.calls.append(tuple(ids))
        return {id_: float(id_) for id_ in ids}

    @property
    def read(self) -> list[str]:
        return [id_ for call in self.calls for id_ in call]


def search(store: LanceStore, k: int) -> Ranking:
    return store.search_dense(QUERY, k)[0]


@pytest.mark.parametrize("budget", [1, 9, STARTS, 25, 40])
def test_no_document_is_read_twice_and_none_beyond_the_budget(
    store: LanceStore, budget: int
) -> None:
    readings = Readings()
    known = guided(store, readings, search(store, 60), budget)
    assert len(readings.read) == len(set(readings.read)) == budget
    assert {id_ for id_, _ in known} == set(readings.read)


def test_it_gets_further_than_the_first_documents(store: LanceStore) -> None:
    budget = 25
    readings = Readings()
    guided(store, readings, search(store, 60), budget)
    first = [id_ for id_, _ in search(store, budget)]
    assert max(map(int, first)) <= budget // 2
    assert max(map(int, readings.read)) >= 5 + (budget - STARTS) - 1
    assert all(len(call) <= DEGREE + 1 for call in readings.calls[1:])


def test_the_score_of_the_search_stays_and_what_it_did_not_find_has_its_last(
    store: LanceStore,
) -> None:
    ranking = search(store, 12)
    known = guided(store, Readings(), ranking, 25)
    found = dict(ranking)
    assert all(score == found.get(id_, ranking[-1][1]) for id_, score in known)
    assert [score for _, score in known] == sorted((score for _, score in known), reverse=True)
    assert len(known) > len(ranking)


def test_neighbours_fulfil_the_filter(store: LanceStore) -> None:
    where = {"side": "left"}
    (ranking,) = store.search_dense(QUERY, 60, where)
    readings = Readings()
    guided(store, readings, ranking, 30, where)
    assert all(int(id_) < 0 for id_ in readings.read)


def test_a_small_collection_is_read_whole(store: LanceStore) -> None:
    readings = Readings()
    known = guided(store, readings, search(store, 3), 1000)
    assert len(known) == len(DEGREES)
    readings = Readings()
    where = {"side": "left"}
    guided(store, readings, search(store, 3), 1000, where)
    assert len(readings.read) == 40 + 2  # the search was made without the filter


def test_documents_that_are_gone_are_passed_over(store: LanceStore) -> None:
    ranking = [("gone", 2.0), *search(store, 20), ("also gone", -1.0)]

    def read(ids: Sequence[str]) -> dict[str, float]:
        return {id_: float(id_) for id_ in ids if "gone" not in id_}

    known = guided(store, read, ranking, 1000)
    assert {id_ for id_, _ in known} == set(map(str, DEGREES))
    assert guided(store, lambda _ids: {}, ranking, 5) == []


class Longest:
    """A reranker that prefers long documents."""

    name = "longest"
    pointwise = True
    weights_hash = None

    def __init__(self) -> None:
        self.seen: list[str] = []

    def rerank(self, _query: str, documents: Sequence[str]) -> Reranked:
        self.seen += documents
        return Reranked(tuple(float(len(text)) for text in documents), 1, 5)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index.create(tmp_path / "words.index", FakeModel())
    # A chain: each document shares a word with the next one, only the first with the question.
    words = [f"word{number}" for number in range(40)]
    made.add([Document(str(i), f"{words[i]} {words[i + 1]}") for i in range(39)])
    return made


def found(index: Index, reranker: Any, **options: Any) -> tuple[list[str], Any]:
    index.rerankers["r"] = reranker
    chosen = SearchOptions(
        think=0, rerank="r", rerank_guided=True, rerank_weight=1, **{"mode": "dense", **options}
    )
    (result,), receipt = index.search_many(["word0"], chosen)
    return [hit.id for hit in result.hits], (result, receipt)


def test_documents_without_words_are_not_read(index: Index) -> None:
    index.add([Document(f"blank{i}", " ") for i in range(3)])
    reranker = Longest()
    ids, (result, _) = found(index, reranker, k=42, rerank_depth=42)
    assert len(ids) == 42
    assert all(text.strip() for text in reranker.seen) and len(reranker.seen) == 39
    behind = {hit.id: hit.score for hit in result.hits[39:]}
    assert behind.keys() == {"blank0", "blank1", "blank2"}
    assert all(-1 <= score < 0 for score in behind.values())


def test_equal_scores_go_on_from_the_first_that_was_read(store: LanceStore) -> None:
    calls: list[tuple[str, ...]] = []

    def read(ids: Sequence[str]) -> dict[str, float]:
        calls.append(tuple(ids))
        return dict.fromkeys(ids, 0.5)

    ranking = [(str(degree), 1.0) for degree in range(-20, 20)]
    guided(store, read, ranking, STARTS + 5)
    near = store.search_dense(np.stack([row(-20).vector]), DEGREE + 1)[0]
    first = [id_ for id_, _ in near if id_ not in calls[0]]
    assert list(calls[1]) == first[:5]


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_a_search_shows_what_the_walk_has_found(index: Index, mode: str) -> None:
    reranker = Longest()
    ids, (result, receipt) = found(index, reranker, k=30, rerank_depth=15, mode=mode)
    assert len(reranker.seen) == len(set(reranker.seen)) == 15
    assert len(ids) == len(set(ids)) == 30
    assert receipt.rerank_tokens == 5 * receipt.rerank_calls and receipt.rerank_calls > 1
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[14] >= 0 > scores[15]
    assert not result.left_out


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_a_reranker_that_fails_on_its_way_leaves_the_search_as_it_was(
    index: Index, mode: Mode
) -> None:
    class Breaks(Longest):
        def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
            if self.seen:
                raise Thought1Error("it is gone")
            return super().rerank(query, documents)

    plain = [hit.id for hit in index.search("word0", mode=mode, think=0).hits]
    ids, (result, receipt) = found(index, Breaks(), rerank_depth=30, mode=mode)
    assert ids == plain
    assert result.left_out[0].reason == "it is gone"
    assert (receipt.rerank_calls, receipt.rerank_tokens) == (1, 5)  # what was read is paid


def test_a_reranker_that_compares_documents_guides_nothing(index: Index) -> None:
    reranker = Longest()
    reranker.pointwise = False
    with pytest.raises(Thought1Error, match="scores one document at a time"):
        found(index, reranker)
    assert reranker.seen == []


def test_it_is_refused_before_thoughts_are_written(index: Index) -> None:
    class Never:
        def think(self, queries: Sequence[str], *, budget: int | None = None) -> list[str]:
            raise AssertionError("nothing is to be written")

    reranker = Longest()
    reranker.pointwise = False
    index.rerankers["r"] = reranker
    options = SearchOptions(mode="dense", rerank="r", rerank_guided=True)
    with pytest.raises(Thought1Error, match="scores one document at a time"):
        index.search_many(["word0"], options, writer=Never())


@pytest.mark.parametrize(
    ("options", "message"),
    [({}, "name one"), ({"rerank": "r", "mode": "bm25"}, "walks over vectors")],
)
def test_a_walk_needs_a_guide_and_vectors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        SearchOptions(rerank_guided=True, **options)
