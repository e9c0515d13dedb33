"""The retriever of LangChain, in LangChain."""

import asyncio
from dataclasses import MISSING, fields
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda, RunnablePassthrough
from pydantic import ValidationError

from thought1.clients.langchain import T1Retriever
from thought1.search.options import SearchOptions
from thought1.types import Thought1Error

QUESTION = "Why do ice cubes crack?"


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def expected(served: Any, **options: Any) -> list[str]:
    (result,), _ = served.local.search_many([QUESTION], SearchOptions(**options))
    return [hit.id for hit in result.hits]


def test_fields_are_the_options_of_a_search() -> None:
    ours = T1Retriever.model_fields
    for field in fields(SearchOptions):
        assert field.default is not MISSING
        assert ours[field.name].default == field.default, field.name


def test_documents(searched: dict[str, Any], served: Any) -> None:
    retriever = T1Retriever(**searched, k=3, think=5, where={"lang": "en"})
    (result,), _ = served.local.search_many(
        [QUESTION], SearchOptions(k=3, think=5, where={"lang": "en"})
    )
    documents = retriever.invoke(QUESTION)
    assert [(one.id, one.page_content) for one in documents] == [
        (hit.id, hit.text) for hit in result.hits
    ]
    assert result.thought is not None
    for document, hit in zip(documents, result.hits, strict=True):
        found = document.metadata.pop("t1")
        assert document.metadata == dict(hit.metadata)
        assert (found["rank"], found["thought"]) == (hit.rank, result.thought.text)
        assert found["score"] == pytest.approx(hit.score, abs=1e-4)


def test_options_of_one_call(searched: dict[str, Any], served: Any) -> None:
    retriever = T1Retriever(**searched, mode="dense", think=0)
    assert ids(retriever.invoke(QUESTION, k=2)) == expected(served, k=2, mode="dense", think=0)
    german = retriever.bind(where={"lang": "de"}).invoke(QUESTION)
    assert ids(german) == ["brot"]
    assert len(retriever.invoke(QUESTION)) == 5
    with pytest.raises(Thought1Error, match="no option 'top'"):
        retriever.invoke(QUESTION, top=2)
    configurable = retriever.configurable_fields(k=ConfigurableField(id="k"))
    assert len(configurable.invoke(QUESTION, {"configurable": {"k": 1}})) == 1


def test_several_questions_and_async(searched: dict[str, Any], served: Any) -> None:
    retriever = T1Retriever(**searched, k=2, mode="dense", think=3)
    wanted = expected(served, k=2, mode="dense", think=3)
    assert [ids(one) for one in retriever.batch([QUESTION] * 4)] == [wanted] * 4
    assert ids(asyncio.run(retriever.ainvoke(QUESTION))) == wanted
    assert ids(asyncio.run(retriever.ainvoke(QUESTION, k=1))) == wanted[:1]


def test_a_chain(searched: dict[str, Any]) -> None:
    """Retriever, prompt and parser; what a language model would be told is the answer."""
    retriever = T1Retriever(**searched, k=1, mode="bm25")
    prompt = ChatPromptTemplate.from_template("{context} | {question}")
    joined = RunnableLambda(lambda documents: "\n".join(one.page_content for one in documents))
    model = RunnableLambda(lambda value: value.to_messages()[0])
    chain = (
        {"context": retriever | joined, "question": RunnablePassthrough()}
        | prompt
        | model
        | StrOutputParser()
    )
    told = chain.invoke("ice cubes crack")
    assert told.startswith("Ice cubes crack in warm water") and told.endswith("| ice cubes crack")


def test_what_is_wrong_is_said_at_once(served: Any) -> None:
    with pytest.raises(Thought1Error, match="nothing to search"):
        T1Retriever()
    with pytest.raises(Thought1Error, match="bm25 does not think"):
        T1Retriever(index=served.local, mode="bm25", think=5)
    with pytest.raises(ValidationError, match="no_such"):
        T1Retriever(index=served.local, no_such=1)  # type: ignore[call-arg]
    wrong = T1Retriever(url=served.url, index_name="notes", token="t1_wrong")  # type: ignore[arg-type]
    assert "t1_wrong" not in repr(wrong)
    with pytest.raises(Thought1Error, match="answers 401"):
        wrong.invoke(QUESTION)
