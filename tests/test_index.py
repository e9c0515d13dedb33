"""The index: what it remembers, what it encodes, what a search answers and costs."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thought1.index import FORMAT, AddReport, Index, IndexInfo
from thought1.registry import store_type
from thought1.search.options import Fusion, Mode, SearchOptions
from thought1.store import writer
from thought1.store.writer import content_hash
from thought1.testing import FakeModel
from thought1.types import Document, Sampling, Thought, Thought1Error, Vectors

DOCUMENTS = [
    Document("ice", "Uneven heating cracks a brittle solid.", "Thermal shock", {"year": 2001}),
    Document("bread", "Yeast makes dough rise.", "Baking", {"year": 1990, "lang": "en"}),
    Document("moon", "The moon pulls the sea and makes tides.", "Tides", {"year": 2010}),
]
QUESTION = "Why do ice cubes crack in warm water?"
KNOWLEDGE = {QUESTION: "thermal shock uneven heating of a brittle solid"}


@pytest.fixture
def model() -> FakeModel:
    return FakeModel(knowledge=KNOWLEDGE)


@pytest.fixture
def index(tmp_path: Path, model: FakeModel) -> Index:
    index = Index.create(tmp_path / "facts.index", model)
    index.add(DOCUMENTS)
    return index


def many(n: int, text: str = "text") -> Iterator[Document]:
    return (Document(f"doc-{i}", f"{text} {i}") for i in range(n))


# -- creating and opening ------------------------------------------------------------------------


def test_an_index_remembers_its_model(index: Index, model: FakeModel) -> None:
    info = Index.remembered(index.path)
    assert info == index.info == Index.open(str(index.path), model).info
    assert replace(info, created="", thought1_version="") == IndexInfo(
        FORMAT, "fake", model.identities(FORMAT, "")[0], 64, "", ""
    )
    assert info.created.endswith("+00:00")
    assert len(Index.open(index.path, model)) == 3


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (FakeModel(weights_hash="w", name="new"), "model 'fake'.*'new' differs in weights. Open"),
        (FakeModel(templates_hash="t"), "differs in document template"),
        (FakeModel(dim=8, weights_hash="w"), "differs in dimension and weights"),
    ],
)
def test_another_model_is_refused(index: Index, other: FakeModel, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        Index.open(index.path, other)


def test_the_same_model_under_another_name_is_the_same(index: Index) -> None:
    assert len(Index.open(index.path, FakeModel(name="/elsewhere/fake"))) == 3


def test_create_refuses_and_overwrites(index: Index, model: FakeModel) -> None:
    with pytest.raises(Thought1Error, match="already: open it to add to it, or replace it"):
        Index.create(index.path, model)
    assert len(index) == 3
    other = FakeModel(dim=8, name="other")
    assert len(Index.create(index.path, other, overwrite=True)) == 0
    assert Index.remembered(index.path).model == "other"


def test_no_index_and_foreign_indexes_are_explained(tmp_path: Path, model: FakeModel) -> None:
    with pytest.raises(Thought1Error, match="there is no index at"):
        Index.open(tmp_path / "absent", model)
    store_type("lance").create(tmp_path / "bare", 64, {"something": "else"})
    with pytest.raises(Thought1Error, match="not written as an index"):
        Index.remembered(tmp_path / "bare")
    later = {"format": FORMAT + 1, "thought1_version": "9.9", "unknown": True}
    store_type("lance").create(tmp_path / "later", 64, later)
    for read in (Index.remembered, lambda path: Index.open(path, model)):
        with pytest.raises(
            Thought1Error, match=rf"format {FORMAT + 1}, made by thought1 9\.9.*--upgrade"
        ):
            read(tmp_path / "later")


# -- adding ----------------------------------------------------------------------------------------


def test_unchanged_documents_are_not_encoded_again(index: Index, model: FakeModel) -> None:
    model.encoded.clear()
    changed = [
        replace(DOCUMENTS[0], text="Now another text."),
        replace(DOCUMENTS[1], metadata={"year": 1991, "lang": "en"}),
        DOCUMENTS[2],
        Document("new", "A new one."),
    ]
    assert index.add(changed) == AddReport(added=1, unchanged=1, replaced=2)
    assert model.encoded == ["ice", "bread", "new"]
    assert index.search("bread", where={"year": 1991}).hits[0].id == "bread"
    assert index.add(changed) == AddReport(added=0, unchanged=4, replaced=0)
    assert model.encoded == ["ice", "bread", "new"]
    assert len(index) == 4


def test_repeated_ids_in_one_stream(index: Index, model: FakeModel) -> None:
    one, two = Document("twice", "one"), Document("twice", "two")
    model.encoded.clear()
    assert index.add([one, one, two, DOCUMENTS[0], two]) == AddReport(1, 3, 1)
    assert model.encoded == ["twice"]
    assert index.search("twice two", mode="bm25").hits[0].text == "two"
    # changed, and changed back before it was written
    assert index.add([one, two]) == AddReport(0, 0, 2)
    assert index.add([two]) == AddReport(0, 1, 0)


def test_nothing_to_add(index: Index) -> None:
    assert index.add([]) == AddReport(0, 0, 0)


def test_adding_streams(index: Index, model: FakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than one window is taken from the source before it is written."""
    monkeypatch.setattr(writer, "WINDOW", 50)
    taken, progress = itertools.count(), []

    def source() -> Iterator[Document]:
        for document in many(230):
            assert next(taken) < len(index) - 3 + 50
            yield document

    report = index.add(source(), on_progress=progress.append)
    assert (report.added, sum(progress), len(index)) == (230, 230, 233)
    progress.clear()
    index.add(many(230), on_progress=progress.append)
    assert progress == [50, 50, 50, 50, 30]


def test_windows_end_by_size_too(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "WINDOW_CHARS", 100)
    progress: list[int] = []
    index.add(many(10, "x" * 60), on_progress=progress.append)
    assert [n for n in progress if n] == [2] * 5


def test_slow_models_write_small_blocks(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(text: str, seconds: float) -> list[int]:
        monkeypatch.setattr(writer, "WRITE_SECONDS", seconds)
        progress: list[int] = []
        index.add(many(320, text), on_progress=progress.append)
        return progress[1:]  # the first tells of the unchanged ones

    written("any", 0.0)
    assert written("slow", 0.0) == [writer.FIRST_WRITE] * 10
    assert written("fast", 1e9) == [writer.FIRST_WRITE, 320 - writer.FIRST_WRITE]


def test_an_interrupted_source_keeps_what_was_written(
    index: Index, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WINDOW", 50)

    def broken() -> Iterator[Document]:
        yield from many(120)
        raise Thought1Error("line 121 is no JSON")

    with pytest.raises(Thought1Error, match="line 121"):
        index.add(broken())
    assert len(index) == 103
    model.encoded.clear()
    assert index.add(many(120)) == AddReport(added=20, unchanged=100, replaced=0)
    assert len(model.encoded) == 20


@pytest.mark.parametrize(
    "bad",
    [
        Document("\ud800", "text"),
        Document("a", "\ud800"),
        Document("a", "", "\ud800"),
        Document("a", "", metadata={"k": "\ud800"}),
        Document("a", "", metadata={"k": b"bytes"}),  # type: ignore[dict-item]
    ],
)
def test_what_cannot_be_stored_is_refused(index: Index, bad: Document) -> None:
    with pytest.raises(Thought1Error):
        index.add([Document("good", "text"), bad])
    assert len(index) == 3


def test_content_hash_sees_every_difference() -> None:
    variants = [
        Document("x", "ab", "c"),
        Document("x", "b", "ca"),
        Document("x", "", "cab"),
        Document("x", "cab"),
        Document("x", "ab", "c", {"k": 1}),
        Document("x", "ab", "c", {"k": 1.0}),
        Document("x", "ab", "c", {"k": True}),
        Document("x", "ab", "c", {"k": "1"}),
        Document("x", "ab", "c", {"k": "1", "l": ""}),
    ]
    assert len({content_hash(document) for document in variants}) == len(variants)
    one, two = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert content_hash(Document("x", "t", "", one)) == content_hash(Document("y", "t", "", two))


def test_delete_and_optimize(index: Index) -> None:
    assert index.delete(["moon", "absent"]) == 1
    index.optimize()
    assert len(index) == 2
    assert "moon" not in {hit.id for hit in index.search("moon tides sea").hits}


# -- searching -------------------------------------------------------------------------------------


def test_hits_carry_the_document(index: Index) -> None:
    result = index.search("yeast dough", k=1, think=0)
    (hit,) = result.hits
    assert (hit.id, hit.rank, hit.title, hit.text) == ("bread", 1, "Baking", DOCUMENTS[1].text)
    assert hit.metadata == DOCUMENTS[1].metadata
    assert result.query == "yeast dough"


@pytest.mark.parametrize("mode", ["hybrid", "dense", "bm25"])
def test_each_mode_ranks_from_one_downwards(index: Index, mode: Any) -> None:
    hits = index.search("the moon and the tides of the sea", mode=mode, think=0).hits
    assert hits[0].id == "moon"
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert len(hits) == (1 if mode == "bm25" else 3)


def test_scores_say_what_they_are(index: Index, model: FakeModel) -> None:
    query = "brittle solid"
    (dense,) = index.search(query, 1, mode="dense", think=0).hits
    document = model.vector(f"{DOCUMENTS[0].title} {DOCUMENTS[0].text}")
    assert dense.score == pytest.approx(float(model.vector(query) @ document), abs=1e-5)
    by_ranks = SearchOptions(k=1, think=0, fusion=Fusion(by="ranks"))
    ((hybrid,),) = [result.hits for result in index.search_many([query], by_ranks)[0]]
    assert hybrid.score == pytest.approx(2 / 61)


def test_thinking_changes_the_search(index: Index) -> None:
    bare = index.search(QUESTION, mode="dense", think=0)
    thinking = index.search(QUESTION, mode="dense")
    assert bare.thought is None
    assert thinking.thought is not None
    assert thinking.thought.text == KNOWLEDGE[QUESTION]
    assert thinking.hits[0].id == "ice"
    assert thinking.hits[0].score > bare.hits[0].score + 0.2


def test_receipt(index: Index) -> None:
    questions = [QUESTION, "yeast"]
    results, receipt = index.search_many(questions, SearchOptions(think=3))
    assert [result.query for result in results] == questions
    assert (receipt.queries, receipt.prompt_tokens) == (2, 9)
    assert (receipt.thought_tokens, receipt.forced) == (3, 1)
    assert list(receipt.milliseconds) == ["think", "dense", "bm25", "fuse", "fetch"]
    assert all(value >= 0 for value in receipt.milliseconds.values())
    _, receipt = index.search_many(questions, SearchOptions(mode="dense", think=0))
    assert (receipt.thought_tokens, receipt.forced) == (0, 0)
    assert list(receipt.milliseconds) == ["think", "dense", "fetch"]


def test_encoded_documents_are_not_encoded_again(tmp_path: Path) -> None:
    made = FakeModel()
    index = Index.create(tmp_path / "made.index", made)
    index.add(DOCUMENTS)
    vectors = index.vectors([document.id for document in DOCUMENTS])
    other = FakeModel()
    taken = Index.create(tmp_path / "taken.index", other)
    chunks = [
        (some, np.stack([vectors[document.id] for document in some]))
        for some in (DOCUMENTS[:2], DOCUMENTS[2:])
    ]
    assert taken.add_encoded(chunks) == AddReport(len(DOCUMENTS), 0, 0)
    assert taken.add_encoded(chunks) == AddReport(0, len(DOCUMENTS), 0)
    assert other.encoded == []
    for mode in ("dense", "hybrid", "bm25"):
        assert taken.search(QUESTION, mode=mode) == index.search(QUESTION, mode=mode)
    assert taken.add(DOCUMENTS) == AddReport(0, len(DOCUMENTS), 0)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((2, 64), np.float32), "the vector of document 'a' has length 8, not 1: normalise"),
        (np.full((2, 64), np.nan, np.float32), "has length nan, not 1"),
        (np.eye(3, 64, dtype=np.float32), "2 documents but 3 vectors"),
        (np.eye(2, 32, dtype=np.float32), "32 dimensions, but the index has 64"),
    ],
)
def test_vectors_that_cannot_be_right_are_refused(
    tmp_path: Path, vectors: Vectors, message: str
) -> None:
    index = Index.create(tmp_path / "facts.index", FakeModel())
    with pytest.raises(Thought1Error, match=message):
        index.add_encoded([([Document("a", "x"), Document("b", "y")], vectors)])
    assert len(index) == 0


def test_an_offset_continues_a_ranking(index: Index) -> None:
    for mode in ("hybrid", "dense", "bm25"):
        whole = index.search("ice and yeast and the moon", 3, mode=mode).hits
        options = SearchOptions(k=2, mode=mode, offset=1)
        (page,), _ = index.search_many(["ice and yeast and the moon"], options)
        assert page.hits == whole[1:3]
        (beyond,), _ = index.search_many(["yeast"], SearchOptions(mode=mode, offset=10**6))
        assert beyond.hits == ()


@pytest.mark.parametrize("offset", [-1, 2**40, 1.5, True])
def test_an_offset_out_of_range(offset: Any) -> None:
    with pytest.raises(Thought1Error, match="offset must be a whole number from 0 to 1,000,000"):
        SearchOptions(offset=offset)


@pytest.mark.parametrize("by", ["scores", "ranks"])
def test_weights_of_the_two_sides(index: Index, by: Any) -> None:
    def hybrid(dense: float, bm25: float) -> list[str]:
        fusion = Fusion(dense_weight=dense, bm25_weight=bm25, by=by)
        options = SearchOptions(fusion=fusion, think=0)
        (result,), _ = index.search_many([QUESTION], options)
        return [hit.id for hit in result.hits]

    sides = {mode: index.search(QUESTION, mode=mode, think=0).hits for mode in ("dense", "bm25")}
    found = [hit.id for hit in sides["bm25"]]
    assert hybrid(0, 1)[: len(found)] == found
    assert hybrid(1, 0) == [hit.id for hit in sides["dense"]]
    for wrong in ((-1, 1), (0, 0), (float("nan"), 1)):
        with pytest.raises(Thought1Error, match="fusion weights are two numbers of 0 or more"):
            Fusion(dense_weight=wrong[0], bm25_weight=wrong[1])
    with pytest.raises(Thought1Error, match="fuses by scores or ranks, not by 'votes'"):
        Fusion(by="votes")  # type: ignore[arg-type]
    with pytest.raises(Thought1Error, match="a rank constant belongs to fusion by ranks"):
        Fusion(rank_constant=10)


def test_thoughts_are_greedy_unless_asked(index: Index, model: FakeModel) -> None:
    index.search(QUESTION)
    index.search_many([QUESTION])
    warm = Sampling(temperature=0.7, seed=3)
    index.search_many([QUESTION], SearchOptions(sampling=warm))
    assert model.samplings == [model.greedy, model.greedy, warm]


def test_several_thoughts_search_with_the_mean_of_their_vectors(
    index: Index, model: FakeModel
) -> None:
    options = SearchOptions(mode="dense", think=2, samples=2)
    (result,), receipt = index.search_many([QUESTION], options)
    assert [thought.text for thought in result.thoughts] == ["thermal shock", "thermal"]
    assert (result.thought, result.others) == (result.thoughts[0], result.thoughts[1:])
    assert (receipt.thought_tokens, receipt.forced) == (3, 2)
    assert receipt.prompt_tokens == model.count_prompt_tokens([QUESTION])  # it is read once
    total = np.sum([thought.vector for thought in result.thoughts], axis=0)
    mean = Thought("", (), "edited", (total / np.linalg.norm(total)).astype(np.float32))
    expected = index.search(QUESTION, mode="dense", thoughts=[mean])
    assert [hit.id for hit in result.hits] == [hit.id for hit in expected.hits]
    assert [h.score for h in result.hits] == pytest.approx([h.score for h in expected.hits])
    assert model.samplings == [model.sampled]
    with pytest.raises(ValueError, match="where thoughts are given, none is sampled"):
        index.search_many([QUESTION], options, [mean])


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_each_stage_is_what_a_search_with_its_budget_answers(
    index: Index, mode: Mode, samples: int
) -> None:
    options = SearchOptions(2, mode, 6, offset=1, samples=samples, checkpoints=(3, 0, 6))
    (result,), receipt = index.search_many([QUESTION], options)
    assert list(receipt.milliseconds)[-2:] == ["stages", "fetch"]
    assert [stage.budget for stage in result.stages] == [0, 3, 6]
    whole = tuple((hit.id, hit.score) for hit in result.hits)
    assert result.stages[-1].ranking == whole
    bare = index.search_many([QUESTION], SearchOptions(2, mode, 0, offset=1))[0][0].hits
    assert [id_ for id_, _ in result.stages[0].ranking] == [hit.id for hit in bare]
    with pytest.raises(ValueError, match="no checkpoints"):
        index.search_many([QUESTION], options, [Thought("", (), "none")])


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_the_first_documents_of_a_bare_search_are_read(
    index: Index, model: FakeModel, mode: Mode
) -> None:
    index.add([Document("empty", "")])
    questions = ["yeast dough", "moon tides"]
    bare = index.search(questions, mode=mode, think=0)
    options = SearchOptions(k=1, mode=mode, think=3, evidence=2)
    results, receipt = index.search_many(questions, options)
    full = {document.id: document.full_text for document in DOCUMENTS}
    read = [[hit.id for hit in result.hits if hit.id in full][:2] for result in bare]
    assert [list(result.evidence) for result in results] == read
    assert model.evidence_read[1:] == [None, [[full[id_] for id_ in ids] for ids in read]]
    assert [len(result.hits) for result in results] == [1, 1]
    expected = model.count_prompt_tokens(questions)
    expected += model.count_prompt_tokens(questions, evidence=model.evidence_read[-1])
    assert receipt.prompt_tokens == expected
    search = ["dense"] if mode == "dense" else ["dense", "bm25", "fuse"]
    first = [f"first-{name}" for name in ("embed", *search)]
    again = [name for name in search if name != "bm25"]  # the words asked for are the same
    assert list(receipt.milliseconds) == [*first, "read", "think", *again, "fetch"]
    with pytest.raises(ValueError, match="nothing is read first"):
        index.search_many(questions[:1], options, [Thought("", (), "none", model.vector("x"))])


def test_a_search_that_reads_first_ranks_as_one_behind_the_same_thought(
    index: Index, model: FakeModel
) -> None:
    for mode in ("dense", "hybrid"):
        options = SearchOptions(mode=mode, think=3, evidence=3)
        (result,), _ = index.search_many([QUESTION], options)
        expected = index.search(QUESTION, mode=mode, think=3)
        assert (result.hits, result.thought) == (expected.hits, expected.thought)


def test_what_does_not_fit_was_not_read(index: Index, model: FakeModel) -> None:
    model.evidence_limit = 1
    (result,), _ = index.search_many(["yeast dough"], SearchOptions(evidence=3))
    assert len(result.evidence) == 1
    model.own_budget = 0
    with pytest.raises(Thought1Error, match="it would not think"):
        index.search_many(["yeast dough"], SearchOptions(evidence=3))


def test_bm25_never_calls_the_model(index: Index, model: FakeModel) -> None:
    (result,), receipt = index.search_many(["yeast"], SearchOptions(mode="bm25"))
    assert [hit.id for hit in result.hits] == ["bread"]
    assert model.think_calls == 0
    assert (result.thought, receipt.prompt_tokens) == (None, 0)
    assert list(receipt.milliseconds) == ["bm25", "fetch"]
    for query in ("", "the of and"):
        assert index.search(query, mode="bm25").hits == ()


def test_given_thoughts_replace_thinking(index: Index, model: FakeModel) -> None:
    edited = Thought("tides", (7,), "edited", model.vector("moon sea tides"))
    result = index.search(QUESTION, 1, mode="dense", thoughts=[edited])
    assert result.hits[0].id == "moon"
    assert result.thought == edited
    assert model.think_calls == 0
    with pytest.raises(ValueError, match="1 queries but 2 thoughts"):
        index.search(QUESTION, thoughts=[edited, edited])
    with pytest.raises(ValueError, match="without its vector"):
        index.search(QUESTION, thoughts=[replace(edited, vector=None)])


def test_several_questions_at_once(index: Index) -> None:
    questions = ["yeast dough", "moon tides", ""]
    together = index.search(questions, 2)
    assert together == [index.search(question, 2) for question in questions]
    assert index.search([]) == []


def test_filters(index: Index) -> None:
    def ids(**where: Any) -> set[str]:
        return {hit.id for hit in index.search("moon", where=where).hits}

    assert ids(year={"gte": 2001}) == {"ice", "moon"}
    assert ids(year={"gte": 2001}, lang="en") == set()
    with pytest.raises(Thought1Error, match="no document has the metadata field 'colour'"):
        ids(colour="red")


def test_hybrid_looks_deeper_than_k(tmp_path: Path) -> None:
    """By ranks, second on both sides beats first on one side only, although k is 1."""
    model = FakeModel(dim=1024)  # so many dimensions that unrelated words are orthogonal
    index = Index.create(tmp_path / "index", model)
    index.add(Document(f"filler{i}", "gamma") for i in range(80))
    index.add(
        [
            Document("words", "alpha alpha alpha alpha"),
            Document("both", "alpha beta"),
            Document("other", "gamma delta epsilon zeta"),
        ]
    )
    near = model.vector("gamma delta epsilon zeta") + 0.9 * model.vector("beta")
    thought = Thought("", (1,), "edited", (near / np.linalg.norm(near)).astype(np.float32))
    dense = [hit.id for hit in index.search("alpha", 2, mode="dense", thoughts=[thought]).hits]
    words = [hit.id for hit in index.search("alpha", mode="bm25").hits]
    assert (dense, words) == (["other", "both"], ["words", "both"])
    by_ranks = SearchOptions(k=1, fusion=Fusion(by="ranks"))
    (found,), _ = index.search_many(["alpha"], by_ranks, thoughts=[thought])
    assert [hit.id for hit in found.hits] == ["both"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be a whole number from 1 to 1,000,000, not 0"),
        ({"mode": "sparse"}, "unknown search mode 'sparse'; known modes: hybrid, dense, bm25"),
        ({"think": -1}, "0 tokens or more"),
        ({"mode": "bm25", "think": 8}, "bm25 does not think"),
    ],
)
def test_options_out_of_range(index: Index, options: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        index.search("moon", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "sampled thoughts is a whole number from 1 to 1,000, not 0"),
        ({"samples": 2.0}, "sampled thoughts is a whole number"),
        ({"samples": 2, "think": 0}, "2 thoughts on each query need a thinking budget of 1"),
        ({"samples": 2, "mode": "bm25"}, "bm25 does not think"),
        ({"evidence": -1}, "evidence is a whole number of documents from 0 to 1,000, not -1"),
        ({"evidence": 2, "think": 0}, "read before thinking, which needs a thinking budget of 1"),
        ({"evidence": 2, "mode": "bm25"}, "bm25 does not think"),
    ],
)
def test_ways_of_thinking_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        SearchOptions(**options)


def test_a_document_deleted_during_a_search_is_left_out(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = index._store.get
    monkeypatch.setattr(index._store, "get", lambda ids: get([i for i in ids if i != "moon"]))
    hits = index.search("the moon", 3, think=0).hits
    assert [hit.rank for hit in hits] == [1, 2]
    assert {hit.id for hit in hits} == {"ice", "bread"}
