"""The official clients against a server on loopback: OpenAI's and Cohere's."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cohere
import numpy as np
import openai
import pytest
from live_server import listening
from t1_command import NOTES, small_checkpoint

from thought1.index import Index
from thought1.serving.app import create_app
from thought1.serving.batching import Batcher
from thought1.serving.metrics import Metrics, ModelMeter
from thought1.serving.shelf import make_shelf
from thought1.t1 import T1
from thought1.types import Document

QUESTION = "Why do ice cubes crack?"


class Served(NamedTuple):
    url: str
    index: Index
    model: T1

    @property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    @property
    def name(self) -> str:
        return self.openai.models.list().data[0].id


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("clients")
    folder = small_checkpoint(place / "checkpoint", seed=3)
    model = T1.from_pretrained(folder)
    index = Index.create(place / "notes.index", model)
    index.add(Document(i, text, metadata={"year": y, "lang": lang}) for i, text, y, lang in NOTES)
    metrics = Metrics()
    shelf = make_shelf(
        {"notes": index}, lambda one, name: Batcher(model, ModelMeter(metrics, name))
    )
    with listening(create_app(shelf, metrics=metrics)) as url:
        # What is expected is computed by another copy: the server's has a thread of its own.
        yield Served(url, index, T1.from_pretrained(folder))


# -- OpenAI --------------------------------------------------------------------------------------


def test_models(served: Served) -> None:
    (model,) = served.openai.models.list().data
    assert (model.id, model.object, model.owned_by) == ("model", "model", "thought1")
    assert served.openai.models.retrieve("model").id == "model"


@pytest.mark.parametrize("encoding", ["base64", "float", None])
def test_embeddings_of_documents(served: Served, encoding: Any) -> None:
    """Without a word about it the client asks for base64, and decodes it."""
    texts = [text for _, text, _, _ in NOTES]
    more = {} if encoding is None else {"encoding_format": encoding}
    answer = served.openai.embeddings.create(model=served.name, input=texts, **more)
    expected = served.model.encode_document(texts)
    assert [row.index for row in answer.data] == [0, 1, 2, 3]
    for row, vector in zip(answer.data, expected, strict=True):
        found = row.embedding
        if isinstance(found, str):  # base64 that was asked for is left to the caller
            import base64

            found = np.frombuffer(base64.b64decode(found), "<f4").tolist()
        np.testing.assert_allclose(found, vector, atol=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 4


def test_embeddings_of_questions_think(served: Served) -> None:
    def vector(**more: Any) -> tuple[list[float], Any]:
        answer = served.openai.embeddings.create(
            model=served.name, input=QUESTION, extra_body={"input_type": "query", **more}
        )
        return answer.data[0].embedding, answer.usage

    for budget in (0, 5, None):
        found, usage = vector(think=budget)
        (thought,) = served.model.think([QUESTION], budget=budget, sampling=served.model.greedy)
        np.testing.assert_allclose(found, thought.vector, atol=1e-5)
        assert usage.total_tokens - usage.prompt_tokens == len(thought.token_ids)
    found, _ = vector(think=0, task="Find what melts.")
    expected = served.model.encode_query(QUESTION, budget=0, instruction="Find what melts.")
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "error", "param"),
    [
        ({"model": "gpt-9"}, openai.NotFoundError, "model"),
        ({"dimensions": 7}, openai.BadRequestError, "dimensions"),
        ({"input": ["a"] * 257}, openai.BadRequestError, "input"),
        ({"input": "a" * 100_001}, openai.BadRequestError, "input"),
        ({"input": []}, openai.UnprocessableEntityError, "input"),
        ({"input": [1, 2]}, openai.UnprocessableEntityError, "input"),
        ({"extra_body": {"think": 8}}, openai.BadRequestError, "think"),
        ({"extra_body": {"no_such": 8}}, openai.UnprocessableEntityError, "no_such"),
    ],
)
def test_errors_are_the_clients_own(
    served: Served, wrong: dict[str, Any], error: type[openai.APIStatusError], param: str
) -> None:
    with pytest.raises(error) as caught:
        served.openai.embeddings.create(**{"model": "model", "input": "a", **wrong})
    assert caught.value.code
    assert (caught.value.param or "").startswith(param)
    assert caught.value.request_id


def test_a_stream_of_a_search_is_read(served: Served) -> None:
    stream = served.openai.post(
        "/search",
        body={"query": QUESTION, "mode": "dense", "k": 2, "think": 6, "stream": True},
        cast_to=object,
        stream=True,
        stream_cls=openai.Stream[object],
    )
    events: list[dict[str, Any]] = list(stream)  # type: ignore[arg-type]
    types = [event["type"] for event in events]
    expected = served.index.search(QUESTION, 2, mode="dense", think=6)
    assert expected.thought is not None
    tokens = list(expected.thought.token_ids)
    assert types == ["thought"] * len(tokens) + ["thought_end", "hits", "receipt"]
    assert [event["token_id"] for event in events[: len(tokens)]] == tokens
    assert events[-3]["text"] == expected.thought.text
    assert [hit["id"] for hit in events[-2]["hits"]] == [hit.id for hit in expected.hits]
    assert events[-1]["thought_tokens"] == len(tokens)


def test_what_is_wrong_with_a_stream_is_an_error_before_it(served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="known operators"):
        served.openai.post(
            "/search",
            body={"query": QUESTION, "where": {"year": {"about": 1}}, "think": 0, "stream": True},
            cast_to=object,
            stream=True,
            stream_cls=openai.Stream[object],
        )


# -- Cohere --------------------------------------------------------------------------------------


TEXTS = [text for _, text, _, _ in NOTES]


def expected_order(served: Served) -> list[tuple[int, float]]:
    (thought,) = served.model.think([QUESTION], sampling=served.model.greedy)
    vectors = served.model.encode_document(TEXTS)
    scores = np.asarray(vectors) @ np.asarray(thought.vector)
    return [(int(i), float(scores[i])) for i in np.argsort(-scores)]


def test_rerank_by_coheres_client(served: Served) -> None:
    client = cohere.ClientV2("none", base_url=served.url)
    answer = client.rerank(model=served.name, query=QUESTION, documents=TEXTS)
    expected = expected_order(served)
    assert [row.index for row in answer.results] == [index for index, _ in expected]
    np.testing.assert_allclose(
        [row.relevance_score for row in answer.results], [score for _, score in expected], atol=1e-5
    )
    assert answer.meta is not None and answer.meta.api_version is not None
    assert answer.meta.api_version.version == "2"
    best = client.rerank(model=served.name, query=QUESTION, documents=TEXTS, top_n=2)
    assert [row.index for row in best.results] == [index for index, _ in expected[:2]]


def test_rerank_by_coheres_older_client(served: Served) -> None:
    client = cohere.Client("none", base_url=served.url)
    answer = client.rerank(
        model=served.name,
        query=QUESTION,
        documents=[{"text": text} for text in TEXTS],
        return_documents=True,
        top_n=1,
    )
    (row,) = answer.results
    assert row.document is not None
    assert (row.index, row.document.text) == (
        expected_order(served)[0][0],
        TEXTS[expected_order(served)[0][0]],
    )


def test_what_is_wrong_reaches_coheres_client(served: Served) -> None:
    client = cohere.ClientV2("none", base_url=served.url)
    with pytest.raises(cohere.NotFoundError, match="no such model"):
        client.rerank(model="rerank-v9", query=QUESTION, documents=TEXTS)
