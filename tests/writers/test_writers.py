"""Thoughts from a chat model on a server and from a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatState, Request, chat_server, completion

from thought1.chat import ChatServer
from thought1.index import Index
from thought1.openai_client import KEY
from thought1.search.options import SearchOptions
from thought1.search.words_only import WordsOnly
from thought1.testing import FakeModel
from thought1.types import Document, LeftOut, Thought, Thought1Error
from thought1.writers.chat_writer import ChatWriter, cleaned
from thought1.writers.opening import open_writer

QUESTION = "why does it float"
DOCUMENTS = [
    Document("ice", "Ice is less dense than water."),
    Document("bread", "Why does bread rise? Yeast does it."),
]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    found = Index.create(tmp_path / "notes.index", FakeModel())
    found.add(DOCUMENTS)
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatState]:
    monkeypatch.delenv(KEY, raising=False)

    def think(request: Request) -> Any:
        asked = request["messages"][-1]["content"]
        return "Ice is less dense\nthan water." if "float" in asked else ""

    with chat_server(think) as state:
        yield state


def writer(state: ChatState, **more: Any) -> ChatWriter:
    return ChatWriter("openai:m", ChatServer(state.url, "m", **{"waits": (), **more}))


def dense(**options: Any) -> SearchOptions:
    return SearchOptions(**{"mode": "dense", **options})


def test_what_a_chat_model_writes_moves_the_query(index: Index, server: ChatState) -> None:
    assert index.search(QUESTION, mode="dense", think=0).hits[0].id == "bread"
    (result,), receipt = index.search_many([QUESTION], dense(think=40), writer=writer(server))
    assert result.hits[0].id == "ice"
    assert result.thought is not None
    assert result.thought.text == "Ice is less dense than water."
    assert result.thought.finish_reason == "edited"
    assert (receipt.thought_tokens, receipt.left_out) == (0, 0)
    assert list(receipt.milliseconds)[:2] == ["write", "embed"]
    (request,) = server.requests
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("m", 40, 0)
    assert QUESTION in request["messages"][-1]["content"]


def test_an_empty_answer_leaves_the_thought_out(index: Index, server: ChatState) -> None:
    results, receipt = index.search_many(["bread", QUESTION], dense(), writer=writer(server))
    bare = index.search("bread", mode="dense", think=0)
    assert results[0].hits == bare.hits and results[0].thought is None
    assert results[0].left_out == (LeftOut("think", "openai:m answers with an empty text"),)
    assert results[1].left_out == () and results[1].hits[0].id == "ice"
    assert receipt.left_out == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (500, "answers 500"),
        ({"choices": []}, "does not answer as an OpenAI-compatible chat server"),
        (b"no JSON", "does not answer as an OpenAI-compatible chat server"),
        (completion(None), "empty text"),
        (completion(" \x07\n "), "empty text"),
    ],
)
def test_a_broken_server_leaves_the_thought_out(
    index: Index, server: ChatState, answer: Any, reason: str
) -> None:
    server.answer = lambda _: answer
    (result,), _ = index.search_many([QUESTION], dense(), writer=writer(server))
    assert result.hits == index.search(QUESTION, mode="dense", think=0).hits
    (left_out,) = result.left_out
    assert left_out.step == "think" and reason in left_out.reason


def test_a_slow_or_missing_server_leaves_the_thought_out(index: Index, server: ChatState) -> None:
    server.delay = 5
    slow = writer(server, timeout=0.2)
    none = ChatWriter("openai:m", ChatServer("http://127.0.0.1:9", "m", waits=()))
    for one in (slow, none):
        (result,), _ = index.search_many([QUESTION], dense(), writer=one)
        assert "cannot be reached" in result.left_out[0].reason
        assert result.hits


def test_the_key_is_sent_and_never_told(
    index: Index,
    server: ChatState,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(KEY, "secret-key")
    server.answer = lambda _: 401
    (result,), _ = index.search_many([QUESTION], dense(), writer=writer(server))
    assert server.keys == ["Bearer secret-key"]
    assert "secret-key" not in str(result) + caplog.text


def test_answers_are_made_thoughts() -> None:
    assert cleaned("a\n\tb\x00c  d") == "a b c d"
    assert cleaned("<think>so</think> Ice.") == "Ice."
    assert cleaned("<think>cut off") == "cut off"
    assert cleaned("<think>so</think>") == ""
    assert len(cleaned("word " * 9000)) <= 4000


def test_a_thought_that_cannot_be_read_is_left_out_alone(index: Index) -> None:
    class Short(FakeModel):
        def read_thoughts(self, queries: Any, thoughts: Any) -> list[Thought]:
            if any(len(text) > 20 for text in thoughts):
                raise Thought1Error("it does not fit the model's positions")
            return super().read_thoughts(queries, thoughts)

    class Writer:
        def think(self, queries: Any, *, budget: int | None = None) -> list[str]:
            return ["long " * 9, "ice water", "  "][: len(queries)]

    results, _ = index.with_model(Short()).search_many(["a", "b", "c"], dense(), writer=Writer())
    reasons = [one.left_out[0].reason if one.left_out else "" for one in results]
    assert reasons == ["it does not fit the model's positions", "", "the thought is empty"]
    assert results[1].thought is not None and results[1].thought.text == "ice water"


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "bm25"}, {"think": 0}, {"samples": 2, "think": 4}, {"evidence": 1, "think": 4},
        {"checkpoints": (0, 4)},
    ],
)  # fmt: skip
def test_the_model_does_not_think_as_well(
    index: Index, server: ChatState, options: dict[str, Any]
) -> None:
    with pytest.raises(Thought1Error, match=r"leave samples|reads no thoughts"):
        index.search_many([QUESTION], dense(**options), writer=writer(server))
    assert server.requests == []


def test_a_model_that_reads_no_thoughts(index: Index, server: ChatState) -> None:
    words = index.with_model(WordsOnly())
    with pytest.raises(Thought1Error, match="reads no thoughts: use a T1"):
        words.search_many([QUESTION], dense(), writer=writer(server))
    assert server.requests == []


# -- files ---------------------------------------------------------------------------------------


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return f"file:{path}"


def test_a_file_in_the_order_of_the_questions(index: Index, tmp_path: Path) -> None:
    rows = '{"_id": "9", "text": "ice is less dense than water"}\n{"text": ""}\n'
    given = open_writer(write(tmp_path / "thoughts.jsonl", rows))
    results, _ = index.search_many([QUESTION, "bread"], dense(), writer=given)
    assert results[0].hits[0].id == "ice"
    assert "no thought for this question" in results[1].left_out[0].reason
    with pytest.raises(Thought1Error, match="has 2 thoughts for 1 questions"):
        index.search_many([QUESTION], dense(), writer=given)


def test_a_file_that_names_its_questions(index: Index, tmp_path: Path) -> None:
    rows = f'{{"query": "other", "text": "x"}}\n{{"query": "{QUESTION} ", "text": "ice"}}\n'
    given = open_writer(write(tmp_path / "thoughts.jsonl", rows))
    results, _ = index.search_many(["bread", QUESTION], dense(), writer=given)
    assert [bool(one.left_out) for one in results] == [True, False]
    assert results[1].thought is not None and results[1].thought.text == "ice"


def test_a_table_is_read_too(tmp_path: Path) -> None:
    given = open_writer(write(tmp_path / "thoughts.csv", "_id,query,text\n1,a,one\n2,b,two\n"))
    assert given.think(["b", "a"]) == ["two", "one"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; it needs lines"),
        ("nonsense\n", "thoughts.jsonl:1"),
        ('{"text": 3}\n', 'thoughts.jsonl:1: needs the field "text"'),
        ('{"thought": "x"}\n', 'needs the field "text"'),
        ('{"text": "x", "query": 1}\n', '"query" is no string'),
        ('{"text": "x", "query": "a"}\n{"text": "y"}\n', "in every row, or in none"),
        ('{"text": "x", "query": "a"}\n{"text": "y", "query": "a"}\n', "jsonl:2: its question has"),
    ],
)
def test_a_bad_file_is_one_sentence(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        open_writer(write(tmp_path / "thoughts.jsonl", content))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file:/no/such/file.jsonl", "No such file"),
        ("openai:http://127.0.0.1:1", "name server and model"),
        ("other:x", "there is no writer of thoughts named 'other'; known names: file, openai"),
    ],
)
def test_what_cannot_be_opened(name: str, message: str) -> None:
    with pytest.raises(Thought1Error, match=message):
        open_writer(name)
