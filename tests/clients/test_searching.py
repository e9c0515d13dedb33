"""An index here and behind a server give the same answers in the same form."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from thought1.clients.searching import LocalIndex, metadata_of, open_searchable, thought_of
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.testing import FakeModel
from thought1.types import Document, Thought1Error

QUESTION = "Why do ice cubes crack?"


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(k=3, think=5),
        SearchOptions(mode="bm25", where={"lang": "en"}),
        SearchOptions(think=0, where={"year": {"gte": 2005}}, offset=1),
        SearchOptions(mode="dense", think=4, samples=2),
        SearchOptions(mode="dense", checkpoints=(2, 4)),
        SearchOptions(mode="dense", think=3, explain=True, group_by="lang"),
    ],
)
def test_both_say_the_same(served: Any, options: SearchOptions) -> None:
    answers = [
        open_searchable(**source).search(QUESTION, options)
        for source in ({"index": served.local}, served.remote)
    ]
    documents = [
        [(hit.id, hit.text, rounded(metadata_of(result, hit))) for hit in result.hits]
        for result, _ in answers
    ]
    assert documents[0] == documents[1]
    assert documents[0]
    (_, here), (_, there) = answers
    assert (here.thought_tokens, here.prompt_tokens) == (there.thought_tokens, there.prompt_tokens)


def rounded(value: Any) -> Any:
    """To four digits, without the times of stages."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items() if name != "milliseconds"}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value


def test_metadata_says_how_a_document_was_found(served: Any) -> None:
    searched = LocalIndex(served.local)
    result, _ = searched.search("It hums.", SearchOptions(mode="bm25"))
    (hit,) = result.hits
    assert metadata_of(result, hit) == {
        "year": 2021,
        "title": "A kettle",
        "t1": {"rank": 1, "score": hit.score, "thought": ""},
    }
    result, _ = searched.search(QUESTION, SearchOptions(k=1, mode="dense", think=4, samples=2))
    (found,) = (metadata_of(result, hit)["t1"] for hit in result.hits)
    assert found["thought"] == thought_of(result) == found["thoughts"][0]["text"] != ""
    assert len(found["thoughts"]) == 2 and -1 <= found["confidence"] <= 1


def test_neighbours_are_told(tmp_path: Any) -> None:
    index = Index.create(tmp_path / "i", FakeModel())
    texts = ["ice melts", "ice is cold", "water boils"]
    index.add(
        Document(f"ice.md#{i}", text, metadata={"source": "ice.md", "passage": i})
        for i, text in enumerate(texts)
    )
    result, _ = LocalIndex(index).search("cold", SearchOptions(k=1, mode="bm25", neighbours=1))
    found = metadata_of(result, result.hits[0])["t1"]
    assert [one["id"] for one in (*found["before"], *found["after"])] == ["ice.md#0", "ice.md#2"]


def test_one_search_at_a_time(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index.create(tmp_path / "i", FakeModel())
    index.add([Document("ice", "Ice floats.")])
    running, most = [0], [0]
    search_many = Index.search_many

    def counting(*arguments: Any) -> Any:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.01)
        answer = search_many(*arguments)
        running[0] -= 1
        return answer

    monkeypatch.setattr(Index, "search_many", counting)
    with ThreadPoolExecutor(4) as pool:
        options = SearchOptions(mode="dense")
        found = list(pool.map(lambda _: LocalIndex(index).search("ice", options), range(8)))
    assert len(found) == 8
    assert most == [1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"index": None}, "nothing to search"),
        ({"index": "index", "url": "http://127.0.0.1:8000"}, "belong to a server"),
        ({"index": "index", "token": "t"}, "belong to a server"),
        ({"index": "index", "index_name": "notes"}, "belong to a server"),
    ],
)
def test_one_thing_is_searched(served: Any, source: dict[str, Any], message: str) -> None:
    if source["index"]:
        source = {**source, "index": served.local}
    with pytest.raises(Thought1Error, match=message):
        open_searchable(**source)
