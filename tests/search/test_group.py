"""Passages grouped to documents, and what surrounds them."""

from pathlib import Path
from typing import Any

import pytest

from thought1.index import Index
from thought1.search.group import group_ranking, neighbour_ids
from thought1.search.options import SearchOptions
from thought1.testing import FakeModel
from thought1.types import Document, SearchResult, Thought1Error

RANKING = [("a#2", 0.9), ("b#0", 0.8), ("a#0", 0.7), ("c", 0.6), ("b#1", 0.6), ("a#1", 0.1)]
GROUPS = {"a#0": "a", "a#1": "a", "a#2": "a", "b#0": "b", "b#1": "b"}


def test_the_best_passage_gives_the_score() -> None:
    ranking, members = group_ranking(RANKING, GROUPS, 1)
    assert ranking == [("a#2", 0.9), ("b#0", 0.8), ("c", 0.6)]
    assert members["a#2"] == [("a#2", 0.9)]


def test_the_mean_of_the_best_passages() -> None:
    ranking, members = group_ranking(RANKING, GROUPS, 2)
    assert [id_ for id_, _ in ranking] == ["a#2", "b#0", "c"]
    expected = [(0.9 + 0.7) / 2, (0.8 + 0.6) / 2, (0.6 + 0.1) / 2]  # c: the ranking's last score
    assert [score for _, score in ranking] == pytest.approx(expected)
    assert members["b#0"] == [("b#0", 0.8), ("b#1", 0.6)]


def test_many_good_passages_may_beat_one_very_good() -> None:
    ranking = [("x#0", 1.0), ("y#0", 0.9), ("y#1", 0.9), ("x#1", 0.1)]
    groups = {"x#0": "x", "x#1": "x", "y#0": "y", "y#1": "y"}
    assert [id_ for id_, _ in group_ranking(ranking, groups, 1)[0]] == ["x#0", "y#0"]
    assert [id_ for id_, _ in group_ranking(ranking, groups, 2)[0]] == ["y#0", "x#0"]


def test_nothing_to_group() -> None:
    assert group_ranking([], {}, 3) == ([], {})


def test_neighbours_are_numbered() -> None:
    assert neighbour_ids("notes/a.md#1", 2) == (
        ["notes/a.md#0"],
        ["notes/a.md#2", "notes/a.md#3"],
    )
    for other in ("fact-3", "a#b", "a#", "a#\u0663"):
        assert neighbour_ids(other, 2) == ([], [])


@pytest.fixture
def index(tmp_path: Path) -> Index:
    index = Index.create(tmp_path / "i", FakeModel())
    texts = {
        "ice.md": ["ice melts", "ice is cold", "water boils", "steam rises"],
        "bread.md": ["bread rises", "ice cream is no bread"],
    }
    index.add(
        Document(f"{source}#{n}", text, metadata={"source": source, "start": 10 * n})
        for source, some in texts.items()
        for n, text in enumerate(some)
    )
    index.add([Document("loose", "ice", metadata={"n": 1}), Document("ice.md#9", "an ice age")])
    return index


def found(index: Index, query: str, **options: Any) -> SearchResult:
    (result,), _ = index.search_many([query], SearchOptions(**options))
    return result


@pytest.mark.parametrize("mode", ["dense", "bm25", "hybrid"])
def test_one_hit_for_each_document(index: Index, mode: str) -> None:
    hits = found(index, "ice", mode=mode, group_by="source").hits
    sources = [hit.metadata.get("source") for hit in hits]
    assert sorted(s for s in sources if s) == ["bread.md", "ice.md"]
    assert {"loose", "ice.md#9"} <= {hit.id for hit in hits}  # without the field: on their own
    plain = {hit.id: hit.score for hit in found(index, "ice", mode=mode, k=50).hits}
    for hit in hits:
        assert hit.score == pytest.approx(plain[hit.id])
        assert hit.passages == ((hit.id, pytest.approx(hit.score)),)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_k_and_offset_count_documents(index: Index) -> None:
    whole = found(index, "ice", group_by="source", mode="dense").hits
    part = found(index, "ice", group_by="source", mode="dense", k=2, offset=1).hits
    assert [hit.id for hit in part] == [hit.id for hit in whole[1:3]]
    assert [hit.rank for hit in part] == [2, 3]


def test_numbers_and_texts_are_different_groups(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "i", FakeModel())
    index.add([Document("a", "ice", metadata={"g": 1}), Document("b", "ice", metadata={"g": "1"})])
    assert len(found(index, "ice", group_by="g").hits) == 2


def test_what_surrounds_a_hit(index: Index) -> None:
    hits = {hit.id: hit for hit in found(index, "ice", mode="dense", k=20, neighbours=2).hits}
    middle = hits["ice.md#1"]
    assert [one.id for one in middle.before] == ["ice.md#0"]
    assert [one.text for one in middle.after] == ["water boils", "steam rises"]
    assert middle.after[0].metadata["start"] == 20
    assert (hits["loose"].before, hits["loose"].after) == ((), ())
    assert hits["ice.md#3"].after == ()
    assert found(index, "ice", mode="dense").hits[0].before == ()


def test_a_passage_of_another_text_is_no_neighbour(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "i", FakeModel())
    index.add([Document("x#0", "ice", metadata={"source": "x"}), Document("x#1", "ice")])
    assert found(index, "ice", neighbours=1, k=1, where={"source": "x"}).hits[0].after == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_best": 0}, "scored by 1 to"),
        ({"group_best": 2}, "best passages of what"),
        ({"neighbours": -1}, "neighbours are 0 to 100"),
        ({"neighbours": 101}, "neighbours are 0 to 100"),
        ({"group_by": "source", "checkpoints": (0, 4)}, "checkpoints show passages"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        SearchOptions(**options)
