"""A search that is reranked: order, scores, depth, cost, and what happens where it fails."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from thought1.index import Index
from thought1.search.options import MAX_RERANK, SearchOptions
from thought1.search.pipeline import search_in_batches
from thought1.search.reranking import PATIENCE, fused_scores
from thought1.testing import FakeModel
from thought1.types import Document, LeftOut, Reranked, SearchResult, Thought1Error

QUESTION = "alpha beta gamma"
DOCUMENTS = [
    Document("abc", "alpha beta gamma"),
    Document("ab", "alpha beta", title="Two"),
    Document("a", "alpha"),
    Document("none", "delta"),
]


class Fixed:
    """A reranker that says what it is told."""

    name = "fixed"
    pointwise = True
    weights_hash = None

    def __init__(self, say: Callable[[str, Sequence[str]], Any]) -> None:
        self.say = say
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def rerank(self, query: str, documents: Sequence[str]) -> Reranked:
        self.asked.append((query, tuple(documents)))
        return Reranked(tuple(self.say(query, documents)), 1, 5)


def shortest(_query: str, documents: Sequence[str]) -> list[float]:
    return [-float(len(text)) for text in documents]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    found = Index.create(tmp_path / "letters.index", FakeModel())
    found.add(DOCUMENTS)
    return found


def search(index: Index, say: Callable[..., Any], **options: Any) -> SearchResult:
    index.rerankers["fixed"] = Fixed(say)
    chosen = SearchOptions(**{"mode": "dense", "think": 0, "rerank": "fixed", **options})
    (result,), _ = index.search_many([QUESTION], chosen)
    return result


def ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def test_the_reranker_alone_orders_at_weight_1(index: Index) -> None:
    assert ids(index.search(QUESTION, mode="dense", think=0))[:3] == ["abc", "ab", "a"]
    result = search(index, shortest, rerank_weight=1)
    assert ids(result) == ["none", "a", "ab", "abc"] or ids(result)[0] == "a"
    assert result.hits[0].score == 1 and result.hits[-1].score == 0
    assert result.left_out == ()


def test_weight_0_keeps_the_order_of_the_search(index: Index) -> None:
    plain = ids(index.search(QUESTION, mode="dense", think=0))
    assert ids(search(index, shortest, rerank_weight=0)) == plain


def test_fused_scores() -> None:
    ranking = [("a", 9.0), ("b", 5.0), ("c", 1.0)]
    assert fused_scores(ranking, [0, 10, 5], 0.5) == [("b", 0.75), ("a", 0.5), ("c", 0.25)]
    assert fused_scores(ranking, [3, 3, 3], 1) == [("a", 1.0), ("b", 1.0), ("c", 1.0)]
    behind = fused_scores(ranking, [1, 2, 3], 1, [("d", 0.5), ("e", 0.5)])
    assert behind[2:] == [("a", 0.0), ("d", -0.5), ("e", -1.0)]
    assert fused_scores([("a", 2.0)], [-7], 0.5) == [("a", 1.0)]


@pytest.mark.parametrize("mode", ["dense", "bm25", "hybrid"])
def test_only_the_first_documents_are_read(index: Index, mode: str) -> None:
    plain = ids(index.search(QUESTION, mode=mode, think=None if mode == "bm25" else 0))
    result = search(
        index, shortest, mode=mode, think=None if mode == "bm25" else 0,
        rerank_depth=2, rerank_weight=1,
    )  # fmt: skip
    assert ids(result) == [plain[1], plain[0], *plain[2:]]
    ((query, documents),) = index.rerankers["fixed"].asked
    assert query == QUESTION
    assert documents == ("alpha beta gamma", "Two\nalpha beta")


def test_more_is_read_than_is_shown(index: Index) -> None:
    result = search(index, shortest, k=1, rerank_depth=3, rerank_weight=1)
    assert ids(result) == ["a"]
    assert [hit.rank for hit in search(index, shortest, k=1, offset=1).hits] == [2]


def test_the_receipt_counts(index: Index) -> None:
    index.rerankers["fixed"] = Fixed(shortest)
    options = SearchOptions(mode="dense", think=0, rerank="fixed")
    _, receipt = search_in_batches(index, [QUESTION, "delta"] * 40, options)
    assert list(receipt.milliseconds) == ["think", "dense", "rerank", "fetch"]
    assert (receipt.rerank_calls, receipt.rerank_tokens, receipt.left_out) == (80, 400, 0)


def broken(_query: str, _documents: Sequence[str]) -> list[float]:
    raise Thought1Error("http://127.0.0.1:1 cannot be reached (ReadTimeout)")


def bug(_query: str, _documents: Sequence[str]) -> list[float]:
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (broken, "cannot be reached (ReadTimeout)"),
        (bug, "fixed failed: ZeroDivisionError: oops"),
        (lambda _q, _d: [1.0], "one finite score for each of 4 documents"),
        (lambda _q, d: [float("nan")] * len(d), "one finite score"),
        (lambda _q, d: [float("inf")] * len(d), "one finite score"),
        (lambda _q, d: ["x"] * len(d), "TypeError"),
    ],
)
def test_a_broken_reranker_leaves_the_order_of_the_search(
    index: Index, say: Callable[..., Any], reason: str
) -> None:
    plain = index.search(QUESTION, mode="dense", think=0)
    result = search(index, say)
    assert result.hits == plain.hits
    (left_out,) = result.left_out
    assert left_out.step == "rerank" and reason in left_out.reason


def test_the_other_questions_are_not_concerned(index: Index) -> None:
    def some(query: str, documents: Sequence[str]) -> list[float]:
        return broken(query, documents) if query == "delta" else shortest(query, documents)

    index.rerankers["fixed"] = Fixed(some)
    options = SearchOptions(mode="dense", think=0, rerank="fixed")
    results, receipt = index.search_many([QUESTION, "delta", QUESTION], options)
    assert [bool(result.left_out) for result in results] == [False, True, False]
    assert (receipt.left_out, receipt.rerank_calls) == (1, 2)


def test_a_dead_reranker_is_not_asked_for_ever(index: Index) -> None:
    index.rerankers["fixed"] = fixed = Fixed(broken)
    options = SearchOptions(mode="dense", think=0, rerank="fixed")
    results, receipt = index.search_many([QUESTION] * 10, options)
    assert len(fixed.asked) == PATIENCE
    assert receipt.left_out == 10
    reason = f"fixed has failed for {PATIENCE} queries in a row"
    assert results[-1].left_out == (LeftOut("rerank", reason),)
    assert all(result.hits for result in results)


def test_nothing_found_is_nothing_to_rerank(index: Index) -> None:
    index.rerankers["fixed"] = fixed = Fixed(broken)
    options = SearchOptions(mode="bm25", rerank="fixed")
    (result,), receipt = index.search_many(["omega"], options)
    assert result.hits == () and result.left_out == ()
    assert fixed.asked == [] and receipt.left_out == 0


def test_it_is_the_last_step_of_every_kind_of_search(index: Index) -> None:
    for options in ({"evidence": 1, "think": 4}, {"samples": 2, "think": 4}, {"mode": "hybrid"}):
        result = search(index, shortest, rerank_weight=1, **options)
        assert result.hits[0].score == 1 and result.hits[-1].score == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rerank_depth": 0}, f"from 1 to {MAX_RERANK:,}, not 0"),
        ({"rerank_depth": True}, "not True"),
        ({"rerank_depth": MAX_RERANK + 1}, "the depth of reranking"),
        ({"rerank_weight": -0.1}, "from 0 to 1, not -0.1"),
        ({"rerank_weight": float("nan")}, "from 0 to 1, not nan"),
        ({"rerank": "fixed", "checkpoints": (0, 2)}, "what retrieval alone finds"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        SearchOptions(**options)


def test_an_unknown_name_is_an_error_not_a_plain_search(index: Index) -> None:
    with pytest.raises(Thought1Error, match="there is no reranker named 'nothing'"):
        index.search_many([QUESTION], SearchOptions(mode="dense", rerank="nothing"))
