"""Rerankers that ask a chat model: what it may answer, and what becomes of that."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from chat_server import ChatState, Request, chat_server, completion

from thought1.chat import ChatServer
from thought1.openai_client import KEY
from thought1.rerank.listwise import ListwiseReranker, permutation, windows
from thought1.rerank.pointwise import PointwiseReranker
from thought1.types import Thought1Error

TEXTS = ["a", "b", "c", "d"]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatState]:
    monkeypatch.delenv(KEY, raising=False)
    with chat_server(lambda _: "") as state:
        yield state


def listwise(state: ChatState, **more: Any) -> ListwiseReranker:
    return ListwiseReranker("openai", ChatServer(state.url, "m", **{"waits": (), **more}))


def pointwise(state: ChatState) -> PointwiseReranker:
    return PointwiseReranker("openai-pointwise", ChatServer(state.url, "m", waits=()))


def order(scores: tuple[float, ...]) -> str:
    return "".join(TEXTS[i] for i in sorted(range(len(scores)), key=lambda i: -scores[i]))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[4] > [3] > [2] > [1]", "dcba"),
        ("[3] > [1]", "cabd"),  # partial: the rest keeps its order
        ("[3] > [3] > [1] > [3]", "cabd"),  # duplicated
        ("[9] > [0] > [2]", "bacd"),  # invented
        ("3, 1", "cabd"),  # no brackets
        ("The best is [2], since 4 of 5 say so.", "bacd"),
        ("<think>[1] or [2]?</think>[4]", "dabc"),
        ("[4] > [3", "dabc"),  # cut off
        ("1.5 of 2.5; 3", "cabd"),
    ],
)
def test_any_permutation_survives(server: ChatState, answer: str, expected: str) -> None:
    server.answer = lambda _: answer
    found = listwise(server).rerank("q", TEXTS)
    assert order(found.scores) == expected
    assert (found.calls, found.tokens) == (1, 10)


@pytest.mark.parametrize("answer", ["", "I cannot help with that.", "[99]", None])
def test_an_answer_that_names_nothing_is_an_error(server: ChatState, answer: Any) -> None:
    server.answer = lambda _: completion(answer)
    with pytest.raises(Thought1Error, match="without naming a document"):
        listwise(server).rerank("q", TEXTS)


def test_windows_slide_from_the_end() -> None:
    assert windows(4) == [(0, 4)]
    assert windows(20) == [(0, 20)]
    assert windows(21) == [(1, 21), (0, 11)]
    assert windows(45) == [(25, 45), (15, 35), (5, 25), (0, 15)]


def test_the_last_document_can_become_the_first(server: ChatState) -> None:
    def find(request: Request) -> str:
        text = request["messages"][-1]["content"]
        line = next((one for one in text.splitlines() if one.endswith("needle")), "")
        return line.partition(" ")[0] or "nothing of use"

    server.answer = find
    documents = [f"hay {number}" for number in range(44)] + ["needle"]
    found = listwise(server).rerank("q", documents)
    assert found.scores[-1] == max(found.scores)
    kept = [found.scores[number] for number in range(44)]
    assert kept == sorted(kept, reverse=True)
    assert found.calls == 4


def test_a_window_without_an_answer_stays_as_it_is(server: ChatState) -> None:
    answers = iter(["", "[11] > [1]"])
    server.answer = lambda _: completion(next(answers))
    found = listwise(server).rerank("q", [str(number) for number in range(21)])
    best = sorted(range(21), key=lambda i: -found.scores[i])
    assert best == [10, *range(10), *range(11, 21)]


def test_numbers() -> None:
    assert permutation("[2] > [1]", 2) == [1, 0]
    assert permutation("[٢]", 2) == []
    assert permutation("[999999999999]", 2) == []


def test_log_probabilities_are_preferred(server: ChatState) -> None:
    def say(request: Request) -> Any:
        assert request["logprobs"] is True and request["top_logprobs"] == 20
        likely = "Passage: b" in request["messages"][0]["content"]
        yes = 0.75 if likely else 0.25
        return completion("no", {" Yes": math.log(yes / 2), "yes": math.log(yes / 2),
                                 "No": math.log(1 - yes), "perhaps": -9.0})  # fmt: skip

    server.answer = say
    found = pointwise(server).rerank("q", TEXTS)
    assert found.scores == pytest.approx((0.25, 0.75, 0.25, 0.25))
    assert (found.calls, found.tokens) == (4, 40)


def test_words_where_there_are_no_log_probabilities(server: ChatState) -> None:
    said = {"a": "No.", "b": "Yes, it does.", "c": "Perhaps.", "d": "<think>no</think> yes"}
    server.answer = lambda r: said[r["messages"][0]["content"].removeprefix("Passage: ")[0]]
    assert pointwise(server).rerank("q", TEXTS).scores == (0.0, 1.0, 0.5, 1.0)
    server.answer = lambda _: "Perhaps."
    with pytest.raises(Thought1Error, match="neither yes nor no"):
        pointwise(server).rerank("q", TEXTS)


def test_one_refusal_among_documents_is_undecided(server: ChatState) -> None:
    server.answer = lambda r: 500 if "Passage: b" in r["messages"][0]["content"] else "yes"
    assert pointwise(server).rerank("q", TEXTS).scores == (1.0, 0.5, 1.0, 1.0)
    server.answer = lambda _: 500
    with pytest.raises(Thought1Error, match="answers 500"):
        pointwise(server).rerank("q", TEXTS)


@pytest.mark.parametrize(
    "answer",
    [{}, {"choices": []}, {"choices": [{}]}, {"choices": [{"message": {"content": 3}}]}, [], b"no",
     {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}],
)  # fmt: skip
def test_strange_answers_are_one_sentence(server: ChatState, answer: Any) -> None:
    server.answer = lambda _: answer
    with pytest.raises(Thought1Error, match="does not answer as an OpenAI-compatible chat server"):
        listwise(server).rerank("q", TEXTS)


def test_a_slow_server_is_given_up(server: ChatState) -> None:
    server.delay = 5
    with pytest.raises(Thought1Error, match=r"no answer within 0\.2 s"):
        listwise(server, timeout=0.2, waits=(0.0, 0.0)).rerank("q", TEXTS)
    assert len(server.requests) == 1  # somebody waits: it is not asked again


def test_the_key_comes_from_the_environment_alone(
    server: ChatState, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda _: "[1]"
    listwise(server).rerank("q", TEXTS)
    monkeypatch.setenv(KEY, "secret-key")
    listwise(server).rerank("q", TEXTS)
    assert server.keys == [None, "Bearer secret-key"]
    server.answer = lambda _: 401
    with pytest.raises(Thought1Error, match=f"set {KEY}") as refused:
        listwise(server).rerank("q", TEXTS)
    assert "secret-key" not in str(refused.value) + caplog.text


def test_a_busy_server_is_asked_again(server: ChatState) -> None:
    answers: Iterator[Any] = iter([429, 503, "[2]"])
    server.answer = lambda _: next(answers)
    assert order(listwise(server, waits=(0.0, 0.0)).rerank("q", TEXTS).scores) == "bacd"


def test_what_is_asked(server: ChatState) -> None:
    server.answer = lambda _: "[1]"
    listwise(server).rerank("why\n\nso?", ["one\nline " + "x" * 9000])
    (request,) = server.requests
    assert (request["model"], request["temperature"]) == ("m", 0)
    text = json.dumps(request["messages"])
    assert "[1] one line xxx" in text and "query: why so?" in text and len(text) < 3500
