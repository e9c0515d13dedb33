"""The retriever of LlamaIndex, in LlamaIndex."""

import asyncio
from typing import Any

import pytest
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
from llama_index.core.schema import MetadataMode, QueryBundle

from thought1.clients.llama_index import T1Retriever
from thought1.search.options import SearchOptions
from thought1.types import Thought1Error

QUESTION = "Why do ice cubes crack?"


def test_nodes(searched: dict[str, Any], served: Any) -> None:
    options = {"k": 3, "think": 5, "where": {"lang": "en"}}
    (result,), _ = served.local.search_many([QUESTION], SearchOptions(**options))
    assert result.thought is not None
    retriever = T1Retriever(**searched, **options)
    for nodes in (
        retriever.retrieve(QUESTION),
        retriever.retrieve(QueryBundle(QUESTION)),
        asyncio.run(retriever.aretrieve(QUESTION)),
    ):
        assert [(one.node_id, one.text) for one in nodes] == [(h.id, h.text) for h in result.hits]
        for node, hit in zip(nodes, result.hits, strict=True):
            assert node.score == pytest.approx(hit.score, abs=1e-4)
            found = node.metadata["t1"]
            assert (found["rank"], found["thought"]) == (hit.rank, result.thought.text)
            assert node.metadata == {**hit.metadata, "t1": found}


def test_language_models_and_embeddings_do_not_read_how_it_was_found(served: Any) -> None:
    (node,) = T1Retriever(served.local, mode="bm25").retrieve("It hums.")
    text = "year: 2021\ntitle: A kettle\n\nIt hums."
    assert node.node.get_content(MetadataMode.LLM) == text
    assert node.node.get_content(MetadataMode.EMBED) == text


def test_a_query_engine(searched: dict[str, Any]) -> None:
    """With a model that repeats its prompt, so that the answer shows what it was told."""
    engine = RetrieverQueryEngine(
        T1Retriever(**searched, k=1, mode="bm25"),
        get_response_synthesizer(llm=MockLLM(), response_mode=ResponseMode.COMPACT),
    )
    answer = engine.query("ice cubes crack")
    assert "Ice cubes crack in warm water" in str(answer)
    assert [node.node_id for node in answer.source_nodes] == ["ice"]
    assert "because the outside" in str(asyncio.run(engine.aquery("ice cubes crack")))


def test_what_is_wrong_is_said(served: Any) -> None:
    for wrong, message in (
        ({}, "nothing to search"),
        ({"index": served.local, "no_such": 1}, "no option 'no_such'"),
        ({"index": served.local, "k": 0}, "k must be"),
    ):
        with pytest.raises(Thought1Error, match=message):
            T1Retriever(**wrong)
    with pytest.raises(Thought1Error, match="answers 404"):
        T1Retriever(**{**served.remote, "index_name": "no-such"}).retrieve(QUESTION)
