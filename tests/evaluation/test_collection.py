"""From a BEIR folder and an index to metrics: which queries are asked, and what is summed up."""

import json
from pathlib import Path

import pytest

from thought1.data.formats import BeirFolder
from thought1.evaluation.collection import evaluate_collection, judged_queries
from thought1.index import Index
from thought1.search import pipeline
from thought1.search.options import SearchOptions
from thought1.search.pipeline import search_in_batches
from thought1.search.words_only import WordsOnly
from thought1.testing import FakeModel
from thought1.types import Document, Thought1Error

CORPUS = {"d1": "ice cracks in warm water", "d2": "salt melts snow", "d3": "iron rusts"}
QUERIES = {"q1": "ice in water", "q2": "why does iron rust", "q3": "who is not judged"}
KNOWLEDGE = {"why does iron rust": "iron rusts"}


def lines(texts: dict[str, str]) -> str:
    return "".join(json.dumps({"_id": i, "text": text}) + "\n" for i, text in texts.items())


@pytest.fixture
def folder(tmp_path: Path) -> BeirFolder:
    (tmp_path / "corpus.jsonl").write_text(lines(CORPUS))
    (tmp_path / "queries.jsonl").write_text(lines(QUERIES))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text("q1\td1\t1\nq2\td3\t1\n")
    (tmp_path / "qrels" / "test.tsv").write_text("q9\td1\t1\n")
    return BeirFolder(tmp_path)


@pytest.fixture
def index(folder: BeirFolder, tmp_path: Path) -> Index:
    made = Index.create(tmp_path / "index", FakeModel(knowledge=KNOWLEDGE))
    made.add(folder.corpus())
    return made


def test_only_judged_queries_are_asked(folder: BeirFolder, index: Index) -> None:
    done: list[int] = []
    evaluation, run, receipt = evaluate_collection(folder, "dev", index, on_progress=done.append)
    assert set(run) == {"q1", "q2"}
    assert (evaluation.queries, receipt.queries, sum(done)) == (2, 2, 2)
    assert set(run["q1"]) == set(CORPUS)  # to a depth of 100, so all of them
    assert evaluation.metrics["recall@100"] == 1.0
    assert evaluation.metrics["ndcg@10"] == 1.0  # the second by its thought


def test_options_are_used(folder: BeirFolder, index: Index) -> None:
    options = SearchOptions(k=1, mode="dense", think=0)
    _, run, receipt = evaluate_collection(folder, "dev", index, options)
    assert receipt.thought_tokens == 0
    assert [len(scores) for scores in run.values()] == [1, 1]


def test_a_judged_query_without_text_is_an_error(folder: BeirFolder) -> None:
    assert [query.id for query in judged_queries(folder, "dev")[0]] == ["q1", "q2"]
    with pytest.raises(Thought1Error, match=r"lacks 1 of the queries judged .*'q9'"):
        judged_queries(folder, "test")


def test_batches_change_nothing(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [*QUERIES.values(), *KNOWLEDGE]
    options = SearchOptions(k=2)
    whole, receipt = search_in_batches(index, asked, options)
    monkeypatch.setattr(pipeline, "BATCH", 3)
    parts, summed = search_in_batches(index, asked, options)
    assert parts == whole
    assert (summed.queries, summed.prompt_tokens, summed.thought_tokens, summed.forced) == (
        receipt.queries,
        receipt.prompt_tokens,
        receipt.thought_tokens,
        receipt.forced,
    )
    assert summed.milliseconds.keys() == receipt.milliseconds.keys()
    assert all(time > 0 for time in summed.milliseconds.values())


def test_words_only_ranks_as_the_index_with_a_model(
    folder: BeirFolder, index: Index, tmp_path: Path
) -> None:
    words = Index.create(tmp_path / "words", WordsOnly())
    words.add(folder.corpus())
    options = SearchOptions(k=3, mode="bm25")
    asked = list(QUERIES.values())
    assert (
        search_in_batches(words, asked, options)[0] == search_in_batches(index, asked, options)[0]
    )
    with pytest.raises(ValueError, match="only the mode bm25"):
        words.search("anything")


def test_words_only_vectors_are_unit_vectors() -> None:
    documents = [Document(str(n), "text") for n in range(5000)]
    chunks = list(WordsOnly(dim=7).encode_document_stream(documents))
    assert [document for chunk, _ in chunks for document in chunk] == documents
    for chunk, vectors in chunks:
        assert vectors.shape == (len(chunk), 7)
        assert abs((vectors**2).sum(1) - 1).max() < 1e-6
