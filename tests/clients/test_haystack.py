"""The retriever of Haystack, in Haystack."""

import asyncio
from typing import Any

import pytest
from haystack import Pipeline
from haystack.components.builders import PromptBuilder
from haystack.core.errors import DeserializationError, PipelineRuntimeError
from haystack.telemetry import _telemetry
from haystack.utils import Secret

from thought1.clients.haystack import T1Retriever
from thought1.search.options import Fusion, SearchOptions
from thought1.types import Thought1Error

QUESTION = "Why do ice cubes crack?"
VARIABLE = "T1_TOKEN_OF_A_TEST"
TEMPLATE = "{% for document in documents %}{{ document.content }}{% endfor %} | {{ query }}"


@pytest.fixture
def source(searched: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """As `searched`, with the token in the environment."""
    if "token" not in searched:
        return searched
    monkeypatch.setenv(VARIABLE, searched["token"])
    return {**searched, "token": Secret.from_env_var(VARIABLE)}


def ids(answer: dict[str, Any]) -> list[str]:
    return [document.id for document in answer["documents"]]


def test_nothing_is_reported_to_haystack() -> None:
    assert _telemetry.telemetry is None


def test_documents(source: dict[str, Any], served: Any) -> None:
    (result,), receipt = served.local.search_many(
        [QUESTION], SearchOptions(k=3, think=5, where={"lang": "en"})
    )
    assert result.thought is not None
    retriever = T1Retriever(**source, top_k=3, think=5, filters={"lang": "en"})
    for answer in (retriever.run(QUESTION), asyncio.run(retriever.run_async(QUESTION))):
        assert answer["thought"] == result.thought.text
        assert answer["receipt"]["thought_tokens"] == receipt.thought_tokens > 0
        assert ids(answer) == [hit.id for hit in result.hits]
        for document, hit in zip(answer["documents"], result.hits, strict=True):
            found = document.meta["t1"]
            assert document.content == hit.text
            assert document.score == pytest.approx(hit.score, abs=1e-4)
            assert document.meta == {**hit.metadata, "t1": found}
            assert (found["rank"], found["thought"]) == (hit.rank, result.thought.text)


def test_options_of_one_run(source: dict[str, Any]) -> None:
    retriever = T1Retriever(**source, mode="dense", think=0, filters={"lang": "en"})
    assert len(retriever.run(QUESTION)["documents"]) == 3
    assert len(retriever.run(QUESTION, top_k=1)["documents"]) == 1
    assert ids(retriever.run(QUESTION, filters={"lang": "de"})) == ["brot"]
    assert len(retriever.run(QUESTION, filters={})["documents"]) == 5
    newer = {
        "operator": "AND",
        "conditions": [
            {"field": "meta.year", "operator": ">=", "value": 2005},
            {"field": "meta.lang", "operator": "==", "value": "en"},
        ],
    }
    assert set(ids(asyncio.run(retriever.run_async(QUESTION, None, newer)))) == {"salt", "rust"}


def pipeline(retriever: T1Retriever) -> Pipeline:
    made = Pipeline()
    made.add_component("retriever", retriever)
    made.add_component("prompt", PromptBuilder(TEMPLATE, required_variables="*"))
    made.connect("retriever.documents", "prompt.documents")
    return made


def test_a_pipeline(source: dict[str, Any]) -> None:
    query = {"query": "ice cubes crack"}
    made = pipeline(T1Retriever(**source, top_k=1, mode="bm25"))
    answers = [
        made.run({"retriever": query, "prompt": query}),
        asyncio.run(made.run_async({"retriever": query, "prompt": query})),
    ]
    for answer in answers:
        assert answer["prompt"]["prompt"].startswith("Ice cubes crack in warm water")
        assert answer["retriever"]["thought"] == ""


def test_a_pipeline_is_saved_without_its_token(
    served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, served.token)
    retriever = T1Retriever(
        **{**served.remote, "token": Secret.from_env_var(VARIABLE)},
        top_k=2,
        filters={"field": "meta.lang", "operator": "==", "value": "en"},
        think=0,
        fusion=Fusion(bm25_weight=0.5),
    )
    text = pipeline(retriever).dumps()
    assert VARIABLE in text and served.token not in text
    with pytest.raises(DeserializationError):  # Haystack loads its own classes alone
        Pipeline.loads(text)
    loaded = Pipeline.loads(text, allowed_modules=["thought1.clients.haystack"])
    query = {"query": QUESTION}
    assert loaded.run({"retriever": query, "prompt": query}) is not None
    again = loaded.get_component("retriever")
    assert again.to_dict() == retriever.to_dict()
    wanted = SearchOptions(2, think=0, where={"lang": "en"}, fusion=Fusion(bm25_weight=0.5))
    (result,), _ = served.local.search_many([QUESTION], wanted)
    assert ids(again.run(QUESTION)) == [hit.id for hit in result.hits]


def test_what_cannot_be_saved_is_said(served: Any) -> None:
    with pytest.raises(Thought1Error, match="cannot be saved; serve the index"):
        T1Retriever(served.local).to_dict()
    given = T1Retriever(**{**served.remote, "token": Secret.from_token(served.token)})
    with pytest.raises(ValueError, match="token-based secret"):
        given.to_dict()


def test_what_is_wrong_is_said(served: Any) -> None:
    for wrong, message in (
        ({}, "nothing to search"),
        ({"k": 3}, "k is called top_k here"),
        ({"where": {"lang": "en"}}, "where is called filters here"),
        ({"no_such": 1}, "no option 'no_such'"),
        ({"filters": {"operator": "OR", "conditions": []}}, "by AND, not by 'OR'"),
    ):
        with pytest.raises(Thought1Error, match=message):
            T1Retriever(**({"index": served.local, **wrong} if wrong else {}))
    away = T1Retriever(url="http://127.0.0.1:1")
    query = {"query": QUESTION}
    with pytest.raises((Thought1Error, PipelineRuntimeError), match="cannot be reached"):
        pipeline(away).run({"retriever": query, "prompt": query})
