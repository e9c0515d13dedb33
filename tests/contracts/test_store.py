"""What every store must do. A new store is tested by its row in `thought1.registry.STORES`."""

import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thought1.contracts import Store
from thought1.registry import STORES, StoreType, store_type
from thought1.types import Document, Filter, Ranking, StoredRow, Thought1Error, Vectors

DIM = 8
INFO = {"format": 1, "model": "fake", "odd": "quote ' and \u00fc"}

NASTY = [
    "it's", '"', "''", "'; DROP TABLE documents; --", "' OR '1'='1", "a/b/../c", "\\", "\\'", "%",
    "_", "a\nb\tc", "\x00", "日本語", "🎉", "é", "e\u0301", " ", "", "NULL", "x" * 1000,
]  # fmt: skip


@pytest.fixture(params=sorted(STORES))
def kind(request: pytest.FixtureRequest) -> StoreType:
    return store_type(request.param)


@pytest.fixture
def store(kind: StoreType, tmp_path: Path) -> Store:
    return kind.create(tmp_path / "store", DIM, INFO)


def unit(*values: float) -> Vectors:
    """A vector of the store's dimension that begins with `values`."""
    vector = np.zeros(DIM, dtype=np.float32)
    vector[: len(values)] = values
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def random_units(n: int, seed: int) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def row(id_: str, text: str = "", vector: Vectors | None = None, **metadata: Any) -> StoredRow:
    return StoredRow(
        Document(id_, text, metadata=metadata), unit(1) if vector is None else vector, f"h-{text}"
    )


def ids(ranking: Ranking) -> list[str]:
    return [id_ for id_, _ in ranking]


def matching(store: Store, where: Filter) -> set[str]:
    """The ids that meet a filter."""
    (ranking,) = store.search_dense(unit(1)[None], 1000, where)
    return set(ids(ranking))


# -- vectors come back ---------------------------------------------------------------------------


def test_vectors_come_back_as_they_were_given(kind: StoreType, tmp_path: Path) -> None:
    store = kind.create(tmp_path / "store", DIM, INFO)
    vectors = random_units(1500, seed=3)
    names = [f"d{i}" for i in range(1500)]
    store.upsert([row(*pair) for pair in zip(names, names, vectors, strict=True)])
    for reader in (store, kind.open(tmp_path / "store")):
        asked = [names[i] for i in (7, 1499, 3, 7)]
        found = reader.vectors([*asked, "absent"])
        assert found.keys() == set(asked)
        assert all(np.array_equal(found[f"d{i}"], vectors[i]) for i in (7, 1499, 3))
        assert reader.vectors([]) == {}
        assert len(reader.vectors(names)) == 1500


def test_a_scan_gives_every_row_once_in_small_batches(store: Store) -> None:
    assert list(store.scan()) == []
    vectors = random_units(250, seed=4)
    rows = [row(f"d{i}", f"text {i}", vectors[i], number=i) for i in range(250)]
    for start in range(0, 250, 100):
        store.upsert(rows[start : start + 100])
    store.upsert([row("d3", "newer", unit(1), number=-1)])
    store.delete(["d4", "d5"])
    batches = list(store.scan(40))
    assert max(map(len, batches)) <= 40
    found = {one.document.id: one for batch in batches for one in batch}
    assert sum(map(len, batches)) == len(found) == 248
    assert found["d3"].document == Document("d3", "newer", metadata={"number": -1})
    assert found["d3"].content_hash == "h-newer"
    assert found["d9"].document == rows[9].document
    assert np.array_equal(found["d9"].vector, vectors[9])


def test_a_scan_sees_the_moment_at_which_it_began(kind: StoreType, tmp_path: Path) -> None:
    store = kind.create(tmp_path / "store", DIM, INFO)
    store.upsert([row(f"d{i}") for i in range(100)])
    scan = store.scan(10)
    first = next(scan)
    kind.open(tmp_path / "store").delete([f"d{i}" for i in range(50)])
    store.upsert([row("later")])
    assert {one.document.id for batch in (first, *scan) for one in batch} == {
        f"d{i}" for i in range(100)
    }


# -- life of a store ---------------------------------------------------------------------------


def test_info_and_documents_survive_opening(kind: StoreType, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "parents" / "store"
    store = kind.create(path, DIM, INFO)
    document = Document("a", "text\n\nof several lines ", " title\n", {"z": 1, "a": 1.0, "b": True})
    store.upsert([StoredRow(document, unit(1), "h")])
    for reader in (store, kind.open(path)):
        assert dict(reader.info) == INFO
        assert reader.get(["a", "absent"]) == {"a": document}
        metadata = reader.get(["a"])["a"].metadata
        assert list(metadata) == ["z", "a", "b"]
        assert [type(value) for value in metadata.values()] == [int, float, bool]
        assert reader.hashes(["absent", "a"]) == {"a": "h"}
        assert reader.count() == 1


def test_creating_twice_is_refused_and_overwrite_replaces(kind: StoreType, tmp_path: Path) -> None:
    path = tmp_path / "store"
    kind.create(path, DIM, INFO).upsert([row("a", "first")])
    with pytest.raises(Thought1Error, match=r"already.*open it to add.*overwrite"):
        kind.create(path, DIM, INFO)
    assert kind.open(path).count() == 1
    reader = kind.open(path)
    other = kind.create(path, 2 * DIM, {"format": 2}, overwrite=True)
    for again in (other, kind.open(path)):
        assert again.count() == 0
        assert again.info == {"format": 2}
        assert again.search_bm25(["first"], 5) == [[]]
    assert reader.count() == 0
    same = kind.create(path, 2 * DIM, {"format": 3}, overwrite=True)
    assert same.count() == 0
    assert kind.create(tmp_path / "fresh", DIM, INFO, overwrite=True).count() == 0


def test_other_files_are_never_touched(kind: StoreType, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    for target in (folder, folder / "thesis.txt"):
        for overwrite in (False, True):
            with pytest.raises(Thought1Error, match="something other than an index"):
                kind.create(target, DIM, INFO, overwrite=overwrite)
        with pytest.raises(Thought1Error, match="no index"):
            kind.open(target)
    assert (folder / "thesis.txt").read_text() == "years of work"
    with pytest.raises(Thought1Error):
        kind.create(folder / "thesis.txt" / "below a file", DIM, INFO)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_failed_creation_leaves_nothing(kind: StoreType, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        kind.create(tmp_path / "new" / "store", DIM, {"not": object()})
    assert list(tmp_path.iterdir()) == []


def test_opening_nothing_says_so(kind: StoreType, tmp_path: Path) -> None:
    with pytest.raises(Thought1Error, match="no index"):
        kind.open(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    with pytest.raises(Thought1Error, match="no index"):
        kind.open(tmp_path)


# -- writing -----------------------------------------------------------------------------------


def test_an_empty_store_answers(store: Store) -> None:
    store.upsert([])
    assert store.count() == 0
    assert store.delete(["a"]) == 0
    assert store.delete([]) == 0
    assert store.hashes([]) == {}
    assert store.get([]) == {}
    assert store.search_dense(random_units(2, 0), 3) == [[], []]
    assert store.search_dense(random_units(0, 0), 3) == []
    assert store.search_bm25(["word", ""], 3, {"any": "field"}) == [[], []]
    store.optimize()
    assert store.count() == 0


def test_upsert_replaces_and_the_last_duplicate_wins(store: Store) -> None:
    store.upsert([row("a", "old", unit(1)), row("b", "kept")])
    store.optimize()
    store.upsert([row("a", "middle", unit(0, 1)), row("a", "newest", unit(0, 0, 1), year=3)])
    assert store.count() == 2
    assert store.hashes(["a", "b"]) == {"a": "h-newest", "b": "h-kept"}
    assert store.get(["a"])["a"].text == "newest"
    assert store.search_bm25(["old", "middle", "newest"], 5)[:2] == [[], []]
    assert ids(store.search_bm25(["newest"], 5)[0]) == ["a"]
    ((found, score),) = store.search_dense(unit(0, 0, 1)[None], 1)[0]
    assert (found, round(score, 5)) == ("a", 1.0)
    assert matching(store, {"year": 3}) == {"a"}


def test_deleted_documents_are_gone(store: Store) -> None:
    store.upsert([row(str(i), f"word number{i}") for i in range(20)])
    assert store.delete(["3", "4", "4", "absent"]) == 2
    assert store.delete(["3"]) == 0
    assert store.count() == 18
    assert store.get(["3", "5"]).keys() == {"5"}
    for _ in range(2):
        assert store.search_bm25(["number3"], 5) == [[]]
        assert len(store.search_bm25(["word"], 18)[0]) == 18
        assert "3" not in ids(store.search_dense(unit(1)[None], 20)[0])
        store.optimize()


def test_nasty_ids_are_ordinary_ids(store: Store) -> None:
    store.upsert([row(id_, f"text{i}") for i, id_ in enumerate(NASTY)])
    assert store.count() == len(NASTY)
    assert store.hashes(NASTY) == {id_: f"h-text{i}" for i, id_ in enumerate(NASTY)}
    store.upsert([row(id_, f"again{i}") for i, id_ in enumerate(NASTY)])
    for i, id_ in enumerate(NASTY):
        assert store.get([id_])[id_].text == f"again{i}"
        assert store.delete([id_]) == 1
        assert store.count() == len(NASTY) - i - 1


def test_many_ids_at_once(store: Store) -> None:
    rows = [row(f"id-{i}", f"text {i}", vector) for i, vector in enumerate(random_units(2500, 0))]
    store.upsert(rows)
    every = [one.document.id for one in rows]
    assert store.hashes(every) == {one.document.id: one.content_hash for one in rows}
    assert len(store.get([*every, *every])) == 2500
    assert store.delete(every[:2400]) == 2400
    assert store.count() == 100


@pytest.mark.parametrize(
    "document",
    [
        Document("a", "half a surrogate \ud800"),
        Document("a", "", metadata={"when": None}),  # type: ignore[dict-item]
        Document("a", "", metadata={"tags": ["x"]}),  # type: ignore[dict-item]
        Document("a", "", metadata={"share": math.nan}),
        Document("a", "", metadata={"big": 2**63}),
    ],
)
def test_what_cannot_be_stored_is_refused_before_the_write(
    store: Store, document: Document
) -> None:
    with pytest.raises(Thought1Error):
        store.upsert([row("good"), StoredRow(document, unit(1), "h")])
    assert store.count() == 0


def test_wrong_dimensions_are_refused(store: Store) -> None:
    wrong = np.ones(DIM + 1, dtype=np.float32)
    with pytest.raises(ValueError, match="shape"):
        store.upsert([row("a", vector=wrong)])
    with pytest.raises(ValueError, match="shape"):
        store.search_dense(wrong[None], 1)
    with pytest.raises(ValueError, match="shape"):
        store.search_dense(wrong, 1)


# -- dense search ------------------------------------------------------------------------------


def exact(vectors: Vectors, queries: Vectors, k: int) -> list[list[int]]:
    return [list(order[:k]) for order in np.argsort(-(queries @ vectors.T), axis=1)]


def test_dense_search_is_exact_and_scores_are_cosines(store: Store) -> None:
    vectors, queries = random_units(500, 1), random_units(70, 2)
    store.upsert([row(str(i), vector=vector) for i, vector in enumerate(vectors)])
    rankings = store.search_dense(queries, 20)
    for query, ranking, best in zip(queries, rankings, exact(vectors, queries, 20), strict=True):
        assert ids(ranking) == [str(i) for i in best]
        np.testing.assert_allclose([s for _, s in ranking], vectors[best] @ query, atol=1e-5)
    assert store.search_dense(queries[:1], 20) == rankings[:1]
    assert len(store.search_dense(queries[:1], 1000)[0]) == 500


def test_equal_scores_come_in_the_order_of_ids(store: Store) -> None:
    store.upsert([row(id_, "same words") for id_ in "dbca"])
    assert ids(store.search_dense(unit(1)[None], 4)[0]) == list("abcd")
    assert ids(store.search_bm25(["words"], 4)[0]) == list("abcd")


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(store: Store, k: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        store.search_dense(unit(1)[None], k)
    with pytest.raises(ValueError, match="1 or more"):
        store.search_bm25(["word"], k)


# -- BM25 --------------------------------------------------------------------------------------


def lucene_bm25(texts: Sequence[str], query: str) -> dict[int, float]:
    """Robertson et al., TREC-3, with Lucene's idf: ln(1 + (N - n + 0.5) / (n + 0.5))."""
    documents = [Counter(text.split()) for text in texts]
    mean = sum(len(text.split()) for text in texts) / len(texts)
    scores: dict[int, float] = {}
    for word in query.split():
        containing = sum(word in document for document in documents)
        idf = math.log(1 + (len(texts) - containing + 0.5) / (containing + 0.5))
        for i, document in enumerate(documents):
            if tf := document[word]:
                norm = 1.2 * (0.25 + 0.75 * document.total() / mean)
                scores[i] = scores.get(i, 0.0) + idf * tf * 2.2 / (tf + norm)
    return scores


@pytest.mark.parametrize("optimized", [False, True])
def test_bm25_is_lucenes(store: Store, optimized: bool) -> None:
    rng = np.random.default_rng(0)
    vocabulary = [f"zq{i}x" for i in range(60)]  # words that no stemmer changes
    texts = [" ".join(rng.choice(vocabulary, rng.integers(2, 30))) for _ in range(200)]
    store.upsert([row(str(i), text) for i, text in enumerate(texts)])
    if optimized:
        store.optimize()
    for query in ("zq1x zq2x zq3x", "zq40x"):
        expected = lucene_bm25(texts, query)
        found = dict(store.search_bm25([query], 200)[0])
        assert found.keys() == {str(i) for i in expected}
        for i, score in expected.items():
            assert found[str(i)] == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("optimized", [False, True])
def test_bm25_among_some_documents(store: Store, optimized: bool) -> None:
    """They keep the scores that they have among all."""
    store.upsert(
        [row(f"n{i}", f"word{i % 3} word" + " more" * i, even=i % 2 == 0) for i in range(30)]
    )
    if optimized:
        store.optimize()
    everything = dict(store.search_bm25(["word1 more"], 30)[0])
    some = ["n1", "n4", "n2", "n29", "absent"]
    found = dict(store.search_bm25(["word1 more"], 9, among=some)[0])
    assert found == pytest.approx({id_: everything[id_] for id_ in some if id_ in everything})
    assert ids(store.search_bm25(["word1 more"], 1, among=some)[0]) == [
        max(found, key=found.__getitem__)
    ]
    both = store.search_bm25(["word"], 9, {"even": True}, some)[0]
    assert set(ids(both)) == {"n4", "n2"}
    assert store.search_bm25(["word", "more"], 9, among=[]) == [[], []]


def test_bm25_knows_title_text_word_forms_and_stop_words(store: Store) -> None:
    titled = Document("title", "They melt.", "Glaciers of Norway")
    store.upsert([StoredRow(titled, unit(1), "h"), row("text", "A glacier is running water.")])
    queries = ["glaciers", "NORWAY", "run", "the of and", "melting glaciers"]
    both, norway, run, stop, melting = (ids(r) for r in store.search_bm25(queries, 5))
    assert (set(both), norway, run, stop) == ({"title", "text"}, ["title"], ["text"], [])
    assert melting == ["title", "text"]


def test_bm25_finds_what_came_after_the_index(store: Store) -> None:
    store.upsert([row(f"old{i}", f"ancient word{i}") for i in range(50)])
    store.optimize()
    store.upsert([row("new", "modern marvel")])
    assert ids(store.search_bm25(["marvel"], 3)[0]) == ["new"]
    store.optimize()
    assert ids(store.search_bm25(["marvel"], 3)[0]) == ["new"]


WORDS = {
    "composed": "caf\u00e9 Stra\u00dfe",
    "decomposed": "cafe\u0301 \u1100\u1161\u11a8",
    "soft": "Donau\u00addampf\u200bschiff",
    "hash": "0123456789abcdef" * 8,
    "compound": "Rindfleischetikettierungsueberwachungsaufgabenuebertragungsgesetz",
    "chinese": "北京大学的学生在图书馆",
    "japanese": "日本語の形態素解析は難しい",
    "korean": "대한민국의 서울 국",
    "thai": "ภาษาไทยเป็นภาษาที่สวยงาม",
}


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("caf\u00e9", {"composed", "decomposed"}),
        ("cafe\u0301", {"composed", "decomposed"}),
        ("\uac01", {"decomposed"}),
        ("Donaudampfschiff", {"soft"}),
        ("Donaudampf\u00adschiff", {"soft"}),
        ("0123456789abcdef" * 8, {"hash"}),
        (WORDS["compound"].lower(), {"compound"}),
        ("图书馆", {"chinese"}),
        ("日本語", {"japanese"}),
        ("서울", {"korean"}),
        ("ภาษาไทย", {"thai"}),
    ],
)
def test_words_of_every_script_are_found(
    store: Store, query: str, expected: set[str], optimized: bool
) -> None:
    documents = [Document(name, text, f"\u00ad{name}") for name, text in WORDS.items()]
    store.upsert([StoredRow(document, unit(1), "h") for document in documents])
    if optimized:
        store.optimize()
    assert set(ids(store.search_bm25([query], 9)[0])) == expected
    assert store.get(list(WORDS)) == {document.id: document for document in documents}


@pytest.mark.parametrize(
    "query",
    [
        *NASTY, '"a phrase"', 'half "a phrase', "a AND b", "NOT", "+word -other", "word*",
        "title:word", "word~2", "word^5", "(((", "^~!@#$%^&*(){}[]|\\:;<>?/", "\ud800",
        "word " * 2000, "w" * 10_000, "the of and",
    ],
)  # fmt: skip
def test_no_query_breaks_bm25(store: Store, query: str) -> None:
    store.upsert([row("a", "a word")])
    for _ in range(2):
        ((found),) = store.search_bm25([query], 3)
        assert ids(found) == (["a"] if "word" in query.lower() else [])
        store.optimize()


# -- filters -----------------------------------------------------------------------------------

CARS: list[StoredRow] = [
    row("a", "car", lang="en", year=1990, price=10.5, sold=True),
    row("b", "car", lang="de", year=2000, price=20, sold=False),
    row("c", "car", lang="en", year=2010, price=30.0),
    row("d", "car", lang=5, year="1990"),
    row("e", "car"),
]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, "abcde"),
        ({"lang": "en"}, "ac"),
        ({"lang": {"eq": "en"}}, "ac"),
        ({"lang": {"ne": "en"}}, "bd"),  # e has none
        ({"lang": {"nin": ["en", 5]}}, "b"),
        ({"lang": {"nin": []}}, "abcd"),
        ({"lang": 5}, "d"),
        ({"lang": {"gt": "de"}}, "ac"),
        ({"lang": {"in": ["de", 5, True]}}, "bd"),
        ({"lang": {"in": []}}, ""),
        ({"year": {"gte": 2000}}, "bc"),
        ({"year": {"gt": 1990, "lt": 2010}}, "b"),
        ({"year": {"lte": 1990.5}}, "ad"),  # text that reads as a number
        ({"year": {"ne": 1990}}, "bcd"),  # text is not equal to a number
        ({"year": {"nin": [1990, "1990"]}}, "bc"),
        ({"year": 1990.0}, "a"),
        ({"year": "1990"}, "d"),
        ({"price": 30}, "c"),
        ({"price": {"in": [10.5, 20.0]}}, "ab"),
        ({"price": {"ne": 20}}, "ac"),
        ({"sold": True}, "a"),
        ({"sold": {"ne": True}}, "b"),
        ({"sold": {"ne": 1}}, "ab"),
        ({"lang": "en", "year": {"lt": 2000}}, "a"),
    ],
)
def test_filters(store: Store, where: Filter, expected: str) -> None:
    store.upsert(CARS)
    assert matching(store, where) == set(expected)
    assert set(ids(store.search_bm25(["car"], 9, where)[0])) == set(expected)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"lang": {"like": "en"}}, "unknown operator 'like'.*known operators: eq"),
        ({"lang": {}}, "is empty"),
        ({"lang": {"in": "en"}}, "list of values"),
        ({"lang": ["en"]}, "must be text"),
        ({"lang": None}, "must be text"),
        ({"lang": "\ud800"}, "lang"),
        ({"year": math.inf}, "must be text, a finite number"),
        ({"year": 2**64}, "64 bits"),
        ({"sold": {"gt": False}}, "boolean"),
        ({"colour": "red"}, "no document has the metadata field 'colour'"),
        ({"lang": "en", "colour": {"ne": "red"}}, "'colour'"),
        ({"price": "10.5"}, "no document has text in the metadata field 'price'"),
        ({"price": {"gt": "2024-01-01"}}, "no document has text in the metadata field 'price'"),
        (
            {"sold": {"in": ["x", 1]}},
            "no document has text or numbers in the metadata field 'sold'",
        ),
        ({"sold": {"gt": 1}}, "no document has numbers in the metadata field 'sold'"),
    ],
)
def test_wrong_filters_are_explained(store: Store, where: Filter, message: str) -> None:
    store.upsert(CARS)
    with pytest.raises(Thought1Error, match=message):
        store.search_dense(unit(1)[None], 3, where)
    with pytest.raises(Thought1Error, match=message):
        store.search_bm25(["car"], 3, where)


TEXTS = {
    "day": "2024-05-17", "minute": "2024-05-17T09:30:00+02:00", "month": "2023-12", "year": "2024",
    "number": " 7", "decimal": "-2.5e3", "word": "unknown", "nan": "nan", "endless": "inf",
    "empty": "", "almost": "2024-05-17x", "code": "2024-AB",
}  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"gte": 2024}, {"day", "minute", "year"}),
        ({"gt": 2023, "lt": 2025}, {"day", "minute", "year"}),
        ({"lt": 2024}, {"month", "decimal"}),
        ({"lte": -2500}, {"decimal"}),
        ({"gte": "2024-01-01"}, {"day", "minute", "year"}),
        ({"gt": "2024-04"}, {"day", "minute"}),
        ({"lte": "2024-05-17"}, {"day", "minute", "month", "year"}),
        ({"lt": "2024-05-17"}, {"month"}),
        ({"gt": "2024-05-17T08:00"}, {"minute"}),
        ({"gte": "unknown"}, {"word"}),  # plain text is compared as text
    ],
)
def test_ranges_read_numbers_and_dates_in_text(
    store: Store, condition: Filter, expected: set[str]
) -> None:
    store.upsert([row(name, **{"it's at": text}) for name, text in TEXTS.items()])
    assert matching(store, {"it's at": condition}) == expected


@pytest.mark.parametrize("optimized", [False, True])
def test_filters_leave_k_results(store: Store, optimized: bool) -> None:
    """The condition is part of the search: it does not thin out an unfiltered top k."""
    vectors = random_units(1000, 3)
    store.upsert([row(str(i), "car", v, even=i % 100) for i, v in enumerate(vectors)])
    if optimized:
        store.optimize()
    few = [i for i in range(1000) if i % 100 == 7]
    (ranking,) = store.search_dense(vectors[:1], 10, {"even": 7})
    assert ids(ranking) == [str(few[j]) for j in exact(vectors[few], vectors[:1], 10)[0]]
    assert set(ids(store.search_bm25(["car"], 10, {"even": 7})[0])) == {str(i) for i in few}


def test_numbers_are_equal_only_to_themselves(store: Store) -> None:
    values = [2**53, 2**53 + 1, -(2**63), 2**63 - 1, 0.1, 0.1 + 1e-17, 0.30000000000000004, 1e300]
    store.upsert([row(str(i), n=value) for i, value in enumerate(values)])
    for value in values:
        assert matching(store, {"n": value}) == {
            str(i) for i, other in enumerate(values) if other == value
        }
    assert matching(store, {"n": {"gt": 1e299}}) == {"7"}


KEYS = st.one_of(st.sampled_from(NASTY), st.text(max_size=8))
VALUES = st.one_of(
    KEYS,
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_metadata_is_found_by_itself(store: Store, data: st.DataObject) -> None:
    store.delete([str(i) for i in range(4)])
    drawn = data.draw(st.lists(st.dictionaries(KEYS, VALUES, max_size=3), min_size=1, max_size=4))
    store.upsert(
        [StoredRow(Document(str(i), "", metadata=m), unit(1), "h") for i, m in enumerate(drawn)]
    )
    for i, metadata in enumerate(drawn):
        assert store.get([str(i)])[str(i)].metadata == metadata
        assert str(i) in matching(store, metadata)
        for key, value in metadata.items():
            expected = {
                str(j)
                for j, other in enumerate(drawn)
                if key in other and _kind(other[key]) == _kind(value) and other[key] == value
            }
            assert matching(store, {key: value}) == expected
            assert matching(store, {key: {"in": [value]}}) == expected


def _kind(value: object) -> type:
    return float if type(value) is int else type(value)


# -- several processes -------------------------------------------------------------------------

READER = """
import sys
from pathlib import Path
import numpy as np
from thought1.registry import store_type

store = store_type(sys.argv[1]).open(Path(sys.argv[2]))
print("ready", flush=True)
seen = 0
while seen < int(sys.argv[3]):
    seen = store.count()
    found = store.search_bm25(["word"], 1000)[0]
    near = store.search_dense(np.eye(8, dtype=np.float32)[:1], 1000)[0]
    ids = [id_ for id_, _ in near]
    assert len(store.get(ids)) == len(ids)
    assert len(found) >= seen and len(near) >= seen, (seen, len(found), len(near))
print("done", seen)
"""


def test_another_process_sees_every_commit(kind: StoreType, tmp_path: Path) -> None:
    name = next(name for name in STORES if store_type(name) is kind)
    store = kind.create(tmp_path / "store", DIM, INFO)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, name, str(tmp_path / "store"), "120"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for start in range(0, 120, 20):
            vectors = random_units(20, start)
            store.upsert([row(str(start + i), "word", vector) for i, vector in enumerate(vectors)])
            store.optimize()  # the reader must survive that files are removed
            time.sleep(0.02)
        out, err = reader.communicate(timeout=60)
    finally:
        reader.kill()
    assert (out, reader.returncode) == ("done 120\n", 0), err


def test_two_handles_write_without_losing_anything(kind: StoreType, tmp_path: Path) -> None:
    one, other = kind.create(tmp_path / "store", DIM, INFO), kind.open(tmp_path / "store")
    writers: list[Callable[[Sequence[StoredRow]], None]] = [one.upsert, other.upsert]
    for i in range(10):
        writers[i % 2]([row(str(i), "word"), row("shared", f"turn {i}")])
    assert one.count() == other.count() == 11
    assert one.get(["shared"]) == other.get(["shared"])
    assert one.get(["shared"])["shared"].text == "turn 9"


@pytest.mark.parametrize("round_", range(4))
def test_writers_at_the_same_time_store_each_id_once(
    kind: StoreType, tmp_path: Path, round_: int
) -> None:
    """Some add the same new ids, one deletes, one optimizes: one row for each id, none lost."""
    path = tmp_path / "store"
    kind.create(path, DIM, INFO)
    names = [f"d{i}" for i in range(40)]
    gate = Barrier(6)

    def add(writer: int) -> None:
        store = kind.open(path)
        gate.wait()
        for start in range(0, 40, 10):
            store.upsert([row(name, f"word {writer}") for name in names[start : start + 10]])

    def delete() -> None:
        store = kind.open(path)
        gate.wait()
        for _ in range(4):
            store.delete(["d0"])

    def optimize() -> None:
        store = kind.open(path)
        gate.wait()
        store.optimize()

    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(add, writer) for writer in range(4)]
        for job in [*jobs, pool.submit(delete), pool.submit(optimize)]:
            job.result(60)
    store = kind.open(path)
    found = ids(store.search_bm25(["word"], 1000)[0])
    assert len(found) == len(set(found)) == store.count()
    assert set(names[1:]) <= set(found) <= set(names)


def test_an_index_made_twice_at_the_same_time_is_made_once(kind: StoreType, tmp_path: Path) -> None:
    gate = Barrier(4)

    def create(number: int, path: Path) -> bool:
        gate.wait()
        try:
            kind.create(path, DIM, INFO).upsert([row(str(number))])
        except Thought1Error as error:
            assert "already" in str(error)
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for round_ in range(5):
            path = tmp_path / str(round_)
            assert sum(pool.map(create, range(4), [path] * 4)) == 1
            assert kind.open(path).count() == 1


def test_threads_share_a_store(store: Store) -> None:
    vectors = random_units(300, 5)
    store.upsert([row(str(i), f"word{i % 7}", vector) for i, vector in enumerate(vectors)])

    def search(i: int) -> tuple[list[Ranking], list[Ranking]]:
        return store.search_dense(vectors[i : i + 1], 5), store.search_bm25([f"word{i % 7}"], 50)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(search, range(40)))
    assert together == [search(i) for i in range(40)]
