"""Questions that no one would ask, of an index with three documents and of one with none: every way
of searching answers, and says what it left out."""

from typing import Any

import pytest
from tiny import make_checkpoint

from thought1.index import Index
from thought1.search.adaptive import Adaptive, Gate
from thought1.search.options import SearchOptions
from thought1.t1 import T1
from thought1.types import Document, SearchResult, Thought1Error

WAYS: dict[str, dict[str, Any]] = {
    "bm25": {"mode": "bm25"},
    "dense": {"mode": "dense"},
    "hybrid": {"mode": "hybrid"},
    "thinking": {"mode": "hybrid", "think": 6},
    "several thoughts": {"mode": "dense", "think": 6, "samples": 2, "combine": "like-bm25"},
    "explained": {"mode": "hybrid", "think": 6, "explain": True},
    "grouped": {"mode": "dense", "group_by": "kind"},
    "adaptive": {
        "mode": "dense",
        "think": 16,
        "adaptive": Adaptive(overlap=0.9, gate=Gate("margin", 0.05)),
    },
    "evidence": {"mode": "dense", "think": 6, "evidence": 2},
    "rounds": {"mode": "hybrid", "think": 6, "evidence": 2, "rounds": 3},
    "reranked": {"mode": "dense", "rerank": "t1"},
    "checkpoints": {"mode": "dense", "checkpoints": (0, 4)},
}
QUESTIONS = {
    "50,000 characters of words": "why does ice " * 3847,
    "50,000 characters of one word": "x" * 50_000,
    "control characters": "\x00\x07ice\x1b[31m cubes\u200b\n\t?",
    "control characters alone": "\x00\x01",
    "empty": "",
    "blank": " \n",
    "special tokens": "<emb_token> ice <|im_end|> [CLS]",
    "operators": '"ice AND (salt OR -bread)^3 ~ * ? : \\',
    "no letters": "?!\N{ICE CUBE}",
}
WITHOUT_WORDS = ("empty", "blank")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> T1:
    return T1.from_pretrained(make_checkpoint(tmp_path_factory.mktemp("odd") / "m"))


@pytest.fixture(scope="module")
def full(model: T1, tmp_path_factory: pytest.TempPathFactory) -> Index:
    index = Index.create(tmp_path_factory.mktemp("odd") / "full.index", model)
    documents = ["Salt melts ice.", "Bread rises.", "Heat cracks glass."]
    index.add(
        [Document(str(i), text, metadata={"kind": str(i)}) for i, text in enumerate(documents)]
    )
    return index


@pytest.fixture(scope="module")
def empty(model: T1, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.create(tmp_path_factory.mktemp("odd") / "empty.index", model)


def search(index: Index, query: str, **options: Any) -> SearchResult:
    (result,), _receipt = index.search_many([query], SearchOptions(**options))
    return result


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("way", WAYS)
def test_it_answers(full: Index, way: str, question: str) -> None:
    found = search(full, QUESTIONS[question], **WAYS[way])
    assert found.query == QUESTIONS[question]
    if way == "bm25":  # it finds what shares a word
        words = {"0": "ice", "1": "bread"}
        expected = {id_ for id_, word in words.items() if word in QUESTIONS[question]}
        assert {hit.id for hit in found.hits} == expected
    else:  # vectors rank all there is
        assert len(found.hits) == 3
    wordless = way == "reranked" and question in WITHOUT_WORDS
    assert [one.step for one in found.left_out] == (["rerank"] if wordless else [])


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("way", WAYS)
def test_an_index_without_documents_finds_nothing(empty: Index, way: str, question: str) -> None:
    found = search(empty, QUESTIONS[question], **WAYS[way])
    assert found.hits == () and found.left_out == ()


def test_one_odd_question_changes_no_other(full: Index) -> None:
    questions = [*QUESTIONS.values(), "salt on ice"]
    results, _ = full.search_many(questions, SearchOptions(mode="dense", think=6))
    alone = search(full, "salt on ice", mode="dense", think=6)
    assert [hit.id for hit in results[-1].hits] == [hit.id for hit in alone.hits]
    together = [hit.score for hit in results[-1].hits]
    assert together == pytest.approx([hit.score for hit in alone.hits], abs=1e-4)


def test_a_question_that_is_cut_is_counted(model: T1, full: Index) -> None:
    before = model.queries_read.cut
    search(full, QUESTIONS["50,000 characters of words"], mode="dense")
    assert model.queries_read.cut == before + 1


def test_a_thought_that_does_not_end_is_ended(full: Index) -> None:
    found = search(full, "salt", mode="dense", think=3)
    assert found.thought is not None and len(found.thought.token_ids) <= 3
    if len(found.thought.token_ids) == 3:
        assert found.thought.finish_reason == "budget"


def test_an_empty_thought_is_the_bare_question(full: Index) -> None:
    given = full.search_many(["salt"], SearchOptions(mode="dense"), [""])[0][0]
    bare = search(full, "salt", mode="dense", think=0)
    assert [hit.score for hit in given.hits] == pytest.approx(
        [hit.score for hit in bare.hits], abs=1e-5
    )


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_half_a_surrogate_pair_is_one_sentence(full: Index, mode: str) -> None:
    with pytest.raises(Thought1Error, match=r"not valid Unicode.*'ice \\ud800'"):
        search(full, "ice \ud800", mode=mode)
