"""Why a document was found: leaving parts out, nearest sentences, words; and given thoughts."""

from pathlib import Path

import numpy as np
import pytest

from thought1.index import Index
from thought1.search.explain import parts, query_words, sentences
from thought1.search.options import SearchOptions
from thought1.testing import FakeModel
from thought1.types import Document, SearchResult, Thought1Error

QUESTION = "Why do ice cubes crack in warm water?"
THOUGHT = "uneven heating of a solid; yeast"
SHOCK = "Glass is a solid. Uneven heating cracks a brittle solid.\nIt is called thermal shock."


@pytest.fixture
def index(tmp_path: Path) -> Index:
    model = FakeModel(knowledge={QUESTION: THOUGHT})
    index = Index.create(tmp_path / "facts.index", model)
    index.add(
        [
            Document("ice", SHOCK, "Thermal shock"),
            Document("bread", "Yeast makes dough rise in warm water."),
            Document("cubes", "Ice cubes are cold."),
            Document("empty", ""),
        ]
    )
    return index


def explained(index: Index, mode: str = "dense", **options: object) -> SearchResult:
    asked = SearchOptions(mode=mode, explain=True, **options)  # type: ignore[arg-type]
    (result,), receipt = index.search_many([QUESTION], asked)
    assert "explain" in receipt.milliseconds
    return result


# -- cutting texts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("One sentence", ["One sentence"]),
        ("  One. Two!  Three?\nFour", ["One.", "Two!", "Three?", "Four"]),
        ("Version 2.13 is out.", ["Version 2.13 is out."]),
        ("\u4e00\u3002\u4e8c\u3002", ["\u4e00\u3002", "\u4e8c\u3002"]),
        ("a\n\n\nb", ["a", "b"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_parts_of_a_thought_are_between_semicolons_too() -> None:
    text = "ice; ice is cold. Water is warm;;"
    assert [text[start:end] for start, end in parts(text)] == [
        "ice",
        "ice is cold.",
        "Water is warm",
    ]


def test_words_of_a_query_come_once() -> None:
    assert query_words("ice, warm ice?") == ["ice", "warm"]


# -- effects ---------------------------------------------------------------------------------


def test_the_effect_of_a_part_is_what_leaving_it_out_costs(index: Index) -> None:
    model = index.model
    assert isinstance(model, FakeModel)
    result = explained(index)
    by_id = {hit.id: hit for hit in result.hits}
    stored = index.vectors(list(by_id))
    whole_D = model.vector(f"{QUESTION} {THOUGHT}")
    rest = {
        "uneven heating of a solid": model.vector(f"{QUESTION} yeast"),
        "yeast": model.vector(f"{QUESTION} uneven heating of a solid"),
    }
    for id_, hit in by_id.items():
        assert hit.explanation is not None
        assert [part.text for part in hit.explanation.parts] == list(rest)
        for part in hit.explanation.parts:
            expected = float(stored[id_] @ whole_D - stored[id_] @ rest[part.text])
            assert part.effect == pytest.approx(expected, abs=1e-6)
    first = {id_: hit.explanation.parts for id_, hit in by_id.items() if hit.explanation}
    assert first["ice"][0].effect > 0.1 > first["ice"][1].effect
    assert first["bread"][1].effect > 0.1 > first["bread"][0].effect


def test_a_thought_of_one_part_is_compared_with_the_bare_query(tmp_path: Path) -> None:
    model = FakeModel(knowledge={QUESTION: "yeast"})
    index = Index.create(tmp_path / "i", model)
    index.add([Document("bread", "Yeast makes dough rise.")])
    (part,) = explained(index).hits[0].explanation.parts  # type: ignore[union-attr]
    (bare,) = index.search([QUESTION], mode="dense", think=0)
    assert part.effect == pytest.approx(
        explained(index).hits[0].score - bare.hits[0].score, abs=1e-6
    )


def test_nothing_thought_nothing_to_leave_out(index: Index) -> None:
    for hit in explained(index, think=0).hits:
        assert hit.explanation is not None
        assert hit.explanation.parts == ()


# -- sentences and words ---------------------------------------------------------------------


def test_the_nearest_sentence_is_marked_in_the_text(index: Index) -> None:
    hits = {hit.id: hit for hit in explained(index).hits}
    lit = hits["ice"].explanation.highlight  # type: ignore[union-attr]
    assert lit is not None
    assert SHOCK[lit.start : lit.end] == "Uneven heating cracks a brittle solid."
    model = index.model
    assert isinstance(model, FakeModel)
    expected = model.vector("Uneven heating cracks a brittle solid.") @ model.vector(
        f"{QUESTION} {THOUGHT}"
    )
    assert lit.score == pytest.approx(float(expected), abs=1e-6)
    assert hits["empty"].explanation.highlight is None  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", ["hybrid", "bm25"])
def test_shares_of_words_add_up_to_bm25(index: Index, mode: str) -> None:
    plain = {hit.id: hit.score for hit in index.search(QUESTION, mode="bm25").hits}
    hits = {hit.id: hit for hit in explained(index, mode).hits}
    assert set(plain) <= set(hits)
    for id_, score in plain.items():
        words = hits[id_].explanation.words  # type: ignore[union-attr]
        assert sum(share for _, share in words) == pytest.approx(score, rel=1e-5)
        assert list(words) == sorted(words, key=lambda one: -one[1])
    assert {word for word, _ in hits["cubes"].explanation.words} == {"ice", "cubes"}  # type: ignore[union-attr]


def test_bm25_explains_without_a_model(index: Index) -> None:
    for hit in explained(index, "bm25").hits:
        assert hit.explanation is not None
        assert hit.explanation.highlight is None
        assert hit.explanation.parts == ()


def test_without_explain_nothing_is_computed(index: Index) -> None:
    (result,), receipt = index.search_many([QUESTION], SearchOptions())
    assert all(hit.explanation is None for hit in result.hits)
    assert "explain" not in receipt.milliseconds


def test_several_thoughts_are_not_explained() -> None:
    with pytest.raises(Thought1Error, match="one thought can be explained, not 4"):
        SearchOptions(samples=4, explain=True)


def test_an_empty_index(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "none", FakeModel())
    assert explained(index, "hybrid").hits == ()


# -- thoughts that somebody else wrote ---------------------------------------------------------


def test_a_text_is_read_as_a_thought(index: Index) -> None:
    (result,), receipt = index.search_many([QUESTION], SearchOptions(mode="dense"), ["yeast"])
    assert result.hits[0].id == "bread"
    assert result.thought is not None
    assert (result.thought.text, result.thought.finish_reason) == ("yeast", "edited")
    assert receipt.thought_tokens == 0
    assert receipt.prompt_tokens == len(QUESTION.split()) + 1
    assert list(receipt.milliseconds) == ["embed", "dense", "fetch"]


def test_an_edited_thought_is_explained(index: Index) -> None:
    asked = SearchOptions(mode="dense", explain=True)
    (result,), _ = index.search_many([QUESTION], asked, ["yeast; cold"])
    assert [part.text for part in result.hits[0].explanation.parts] == ["yeast", "cold"]  # type: ignore[union-attr]


def test_an_empty_text_searches_with_the_bare_query(index: Index) -> None:
    (given,), _ = index.search_many([QUESTION], SearchOptions(mode="dense"), [""])
    bare = index.search(QUESTION, mode="dense", think=0)
    assert [hit.id for hit in given.hits] == [hit.id for hit in bare.hits]
    assert np.allclose(
        [hit.score for hit in given.hits], [hit.score for hit in bare.hits], atol=1e-6
    )


def test_texts_and_vectors_are_not_mixed(index: Index) -> None:
    thought = index.search(QUESTION).thought
    assert thought is not None
    with pytest.raises(ValueError, match="all texts, or all have"):
        index.search_many(["a", "b"], SearchOptions(), [thought, "text"])  # type: ignore[list-item]
