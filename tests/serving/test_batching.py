"""One thread for all requests: thoughts as they are written alone, and nobody waits for long."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from thought1.serving.asking import Asking
from thought1.serving.batching import Batcher
from thought1.serving.jobs import Cancelled, Ticket
from thought1.t1 import T1
from thought1.types import Sampling, Thought, Thought1Error, Watched

QUESTIONS = [
    f"Why does {thing} {does}?"
    for thing in ("ice", "a kettle", "salt", "iron")
    for does in ("crack", "boil over the rim", "melt slowly in the warm water of a cup")
]
GREEDY = Sampling()
SAMPLED = Sampling(temperature=1.0, top_p=0.9, seed=5)


@dataclass
class Counts:
    """A meter."""

    rows: list[int] = field(default_factory=list)
    tokens: int = 0
    read: list[tuple[str, int]] = field(default_factory=list)
    waits: dict[str, int] = field(default_factory=dict)

    def step(self, rows: int, tokens: int, seconds: float) -> None:
        assert seconds > 0
        self.rows.append(rows)
        self.tokens += tokens

    def embedded(self, kind: str, texts: int, seconds: float) -> None:
        self.read.append((kind, texts))

    def waiting(self, kind: str, texts: int) -> None:
        self.waits[kind] = texts


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def batcher(checkpoint: str, counts: Counts) -> Iterator[Batcher]:
    made = Batcher(T1.from_pretrained(checkpoint), counts, max_rows=8)
    yield made
    made.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as made:
        yield made


def held(batcher: Batcher, pool: ThreadPoolExecutor) -> threading.Event:
    """The model's thread stands still until the event is set: whatever is asked waits together."""
    standing, go_on = threading.Event(), threading.Event()

    def stand() -> None:
        standing.set()
        assert go_on.wait(30)

    pool.submit(batcher.call, stand, Ticket())
    assert standing.wait(30)
    return go_on


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.005)


def assert_equal(found: Thought, expected: Thought) -> None:
    assert (found.token_ids, found.finish_reason) == (expected.token_ids, expected.finish_reason)
    assert found.text == expected.text
    np.testing.assert_allclose(found.vector, expected.vector, rtol=0, atol=1e-5)


# -- thoughts ------------------------------------------------------------------------------------


@pytest.mark.numerics
@pytest.mark.parametrize("together", [True, False])
def test_thoughts_are_those_that_are_written_alone(
    batcher: Batcher, pool: ThreadPoolExecutor, counts: Counts, model: T1, together: bool
) -> None:
    wanted = [
        (question, {"budget": budget, "sampling": sampling, "samples": samples})
        for number, question in enumerate(QUESTIONS)
        for budget, sampling, samples in [
            (3 + number % 9, GREEDY, 1),
            (0, GREEDY, 1),
            (2 + number, SAMPLED, 1 + number % 3),
        ]
    ]
    go_on = held(batcher, pool) if together else None
    futures = [
        pool.submit(Asking(batcher, Ticket()).think, [question], **how) for question, how in wanted
    ]
    if go_on is not None:
        go_on.set()
    for (question, how), future in zip(wanted, futures, strict=True):
        for found, expected in zip(future.result(60), model.think([question], **how), strict=True):
            assert_equal(found, expected)
    if together:
        assert max(counts.rows) == 8  # and never more
        assert len(counts.rows) < counts.tokens
    assert max(counts.rows) <= 8


def test_questions_of_one_request_keep_their_order(batcher: Batcher, model: T1) -> None:
    found = Asking(batcher, Ticket()).think(QUESTIONS, budget=4, sampling=SAMPLED, samples=3)
    expected = model.think(QUESTIONS, budget=4, sampling=SAMPLED, samples=3)
    for one, other in zip(found, expected, strict=True):
        assert_equal(one, other)


def test_more_samples_than_rows_have_the_batch_for_themselves(
    batcher: Batcher, pool: ThreadPoolExecutor, counts: Counts
) -> None:
    go_on = held(batcher, pool)
    small = pool.submit(Asking(batcher, Ticket()).think, QUESTIONS[:1], budget=3)
    large = pool.submit(
        Asking(batcher, Ticket()).think, QUESTIONS[1:2], budget=3, sampling=SAMPLED, samples=12
    )
    go_on.set()
    assert (len(small.result(60)), len(large.result(60))) == (1, 12)
    assert max(counts.rows) == 12
    assert 13 not in counts.rows


@pytest.mark.parametrize("architecture", ["gemma2", "mistral"])
def test_a_model_whose_rows_cannot_join_takes_turns(
    plain: Callable[[str], T1], pool: ThreadPoolExecutor, architecture: str
) -> None:
    model = plain(architecture)
    expected = model.think(QUESTIONS, budget=5)
    sampled = model.think(QUESTIONS[:2], budget=5, sampling=SAMPLED)
    batcher = Batcher(model, counts := Counts(), max_rows=4)
    go_on = held(batcher, pool)
    futures = [pool.submit(Asking(batcher, Ticket()).think, [q], budget=5) for q in QUESTIONS]
    others = [
        pool.submit(Asking(batcher, Ticket()).think, [q], budget=5, sampling=SAMPLED)
        for q in QUESTIONS[:2]
    ]
    go_on.set()
    for future, thought in zip([*futures, *others], [*expected, *sampled], strict=True):
        assert_equal(future.result(60)[0], thought)
    batcher.close()
    assert 1 < max(counts.rows) <= 4


@pytest.mark.parametrize("anchor", ["mean", "none"])
def test_anchored_vectors_are_those_of_the_library(
    checkpoint: str, pool: ThreadPoolExecutor, anchor: str
) -> None:
    loaded = T1.from_pretrained(checkpoint)
    model = loaded.with_settings(replace(loaded.settings, anchor=anchor))
    expected = model.think(QUESTIONS, budget=4)
    batcher = Batcher(model, Counts(), max_rows=8)
    futures = [pool.submit(Asking(batcher, Ticket()).think, [q], budget=4) for q in QUESTIONS]
    for future, thought in zip(futures, expected, strict=True):
        assert_equal(future.result(60)[0], thought)
    batcher.close()


def test_one_that_asks_much_does_not_keep_others_waiting(
    batcher: Batcher, pool: ThreadPoolExecutor
) -> None:
    go_on = held(batcher, pool)
    many = pool.submit(Asking(batcher, Ticket()).think, QUESTIONS * 8, budget=8)
    until(lambda: batcher._inbox)
    one = pool.submit(Asking(batcher, Ticket()).think, QUESTIONS[:1], budget=8)
    until(lambda: len(batcher._inbox) == 2)
    go_on.set()
    one.result(60)
    assert not many.done()
    assert len(many.result(60)) == len(QUESTIONS) * 8


def test_tokens_are_heard_as_they_come(batcher: Batcher, model: T1) -> None:
    heard: list[Any] = []

    class Ear:
        def token(self, query: int, sample: int, token_id: int) -> None:
            heard.append((query, sample, token_id))

        def thought(self, query: int, sample: int, thought: Thought) -> None:
            heard.append((query, sample, thought.token_ids))

    Asking(batcher, Ticket(), Ear()).think(QUESTIONS[:2], budget=4, sampling=SAMPLED, samples=2)
    expected = model.think(QUESTIONS[:2], budget=4, sampling=SAMPLED, samples=2)
    for number, thought in enumerate(expected):
        place = divmod(number, 2)
        own = [event[2] for event in heard if event[:2] == place]
        assert own == [*thought.token_ids, thought.token_ids]


# -- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.numerics
@pytest.mark.parametrize("anchor", ["none", "mean"])
def test_thoughts_with_checkpoints_share_steps_with_others(
    checkpoint: str, pool: ThreadPoolExecutor, counts: Counts, anchor: str
) -> None:
    loaded = T1.from_pretrained(checkpoint)
    model = loaded.with_settings(replace(loaded.settings, anchor=anchor))
    ways: list[dict[str, Any]] = [{"checkpoints": [0, 2, 5]}, {"budget": 5}, {"checkpoints": (3,)}]
    expected = [model.think(QUESTIONS[:2], **how) for how in ways]
    batcher = Batcher(model, counts, max_rows=8)
    go_on = held(batcher, pool)
    futures = [pool.submit(Asking(batcher, Ticket()).think, QUESTIONS[:2], **how) for how in ways]
    until(lambda: len(batcher._inbox) == 3)
    go_on.set()
    for future, wanted in zip(futures, expected, strict=True):
        for found, thought in zip(future.result(60), wanted, strict=True):
            assert_equal(found, thought)
            pairs = zip(found.checkpoints, thought.checkpoints, strict=True)
            for shot, same in pairs:
                assert shot.budget == same.budget
                np.testing.assert_allclose(shot.vector, same.vector, rtol=0, atol=1e-5)
    batcher.close()
    assert max(counts.rows) == 6


def test_a_thought_that_may_end_early_is_heard_as_far_as_it_goes(
    batcher: Batcher, model: T1
) -> None:
    heard: list[int] = []

    class Ear:
        def token(self, query: int, sample: int, token_id: int) -> None:
            heard.append(token_id)

        def thought(self, query: int, sample: int, thought: Thought) -> None:
            assert thought.finish_reason == "settled"

    asked: list[tuple[int, list[int]]] = []

    def until_four(tokens: int, vectors: Any) -> list[int]:
        asked.append((tokens, sorted(vectors)))
        return list(vectors) if tokens == 4 else []

    watched = Watched([2, 4, 7], until_four)
    (found,) = Asking(batcher, Ticket(), Ear()).think(QUESTIONS[:1], checkpoints=watched)
    assert asked == [(2, [0]), (4, [0])]
    (whole,) = model.think(QUESTIONS[:1], budget=4)
    assert tuple(heard) == found.token_ids == whole.token_ids
    np.testing.assert_allclose(found.vector, whole.vector, rtol=0, atol=1e-5)


def test_a_rule_that_fails_ends_its_own_request(
    batcher: Batcher, pool: ThreadPoolExecutor, model: T1
) -> None:
    go_on = held(batcher, pool)
    watched = Watched([1, 4], lambda *_: 1 / 0)  # type: ignore[arg-type, return-value]
    bad = pool.submit(Asking(batcher, Ticket()).think, QUESTIONS[:2], checkpoints=watched)
    good = pool.submit(Asking(batcher, Ticket()).think, QUESTIONS[2:3], budget=5)
    until(lambda: len(batcher._inbox) == 2)
    go_on.set()
    with pytest.raises(ZeroDivisionError):
        bad.result(60)
    assert_equal(good.result(60)[0], model.think(QUESTIONS[2:3], budget=5)[0])
    until(lambda: not batcher._thoughts)


# -- documents -----------------------------------------------------------------------------------


def test_documents_do_not_stall_questions(
    batcher: Batcher, pool: ThreadPoolExecutor, counts: Counts, model: T1
) -> None:
    texts = [f"{question} Because of number {i}." for i in range(60) for question in QUESTIONS]
    bulk = pool.submit(Asking(batcher, Ticket()).encode_document, texts)
    until(lambda: counts.read)
    asked = [pool.submit(Asking(batcher, Ticket()).think, [q], budget=6) for q in QUESTIONS]
    for future in asked:
        future.result(60)
    assert not bulk.done()
    found = bulk.result(120)
    np.testing.assert_allclose(found, model.encode_document(texts), rtol=0, atol=1e-5)
    assert max(texts for kind, texts in counts.read if kind == "document") <= 64


def test_documents_of_several_requests_are_read_together(
    batcher: Batcher, pool: ThreadPoolExecutor, counts: Counts, model: T1
) -> None:
    go_on = held(batcher, pool)
    futures = [
        pool.submit(Asking(batcher, Ticket()).encode_document, QUESTIONS[i : i + 2])
        for i in range(10)
    ]
    until(lambda: len(batcher._inbox) == 10)
    go_on.set()
    for i, future in enumerate(futures):
        expected = model.encode_document(QUESTIONS[i : i + 2])
        np.testing.assert_allclose(future.result(60), expected, rtol=0, atol=1e-5)
    assert counts.read == [("document", 20)]
    until(lambda: counts.waits == {"thought": 0, "document": 0})


# -- ends ----------------------------------------------------------------------------------------


def test_what_nobody_waits_for_leaves(
    batcher: Batcher, pool: ThreadPoolExecutor, counts: Counts, model: T1
) -> None:
    tickets = [Ticket() for _ in range(4)]
    long = pool.submit(Asking(batcher, tickets[0]).think, QUESTIONS, budget=90)
    until(lambda: len(counts.rows) > 2)
    waiting = pool.submit(Asking(batcher, tickets[1]).think, QUESTIONS, budget=90)
    stays = pool.submit(Asking(batcher, Ticket()).think, QUESTIONS[:1], budget=20)
    texts = [f"{question} {i}" for i in range(200) for question in QUESTIONS]
    documents = pool.submit(Asking(batcher, tickets[2]).encode_document, texts)
    until(lambda: batcher._documents.waiting)
    for ticket in tickets:
        ticket.cancel()
    for future in (long, waiting, documents):
        with pytest.raises(Cancelled):
            future.result(30)
    assert_equal(stays.result(60)[0], model.think(QUESTIONS[:1], budget=20)[0])
    until(lambda: not batcher._thoughts.rows)
    assert len(counts.rows) < 90


def test_what_does_not_fit_fails_alone(
    batcher: Batcher, pool: ThreadPoolExecutor, model: T1
) -> None:
    long = "ice " * 300
    go_on = held(batcher, pool)
    bad = pool.submit(Asking(batcher, Ticket()).think, [QUESTIONS[1], long], budget=200)
    good = pool.submit(Asking(batcher, Ticket()).think, QUESTIONS[:1], budget=5)
    until(lambda: len(batcher._inbox) == 2)
    go_on.set()
    with pytest.raises(Thought1Error, match="smaller thought budget"):
        bad.result(60)
    assert_equal(good.result(60)[0], model.think(QUESTIONS[:1], budget=5)[0])
    until(lambda: not batcher._thoughts.rows)


def test_a_failure_of_the_model_ends_its_requests_and_no_others(
    batcher: Batcher, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        engine = batcher.model.engine  # type: ignore[union-attr]
        broken.setattr(engine, "decode_step", lambda _batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Asking(batcher, Ticket()).think(QUESTIONS, budget=5)
        broken.setattr(T1, "encode_document", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            Asking(batcher, Ticket()).encode_document(QUESTIONS)
    assert len(Asking(batcher, Ticket()).think(QUESTIONS, budget=5)) == len(QUESTIONS)
    assert len(Asking(batcher, Ticket()).encode_document(QUESTIONS)) == len(QUESTIONS)


def test_closing_finishes_what_is_there(checkpoint: str, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(T1.from_pretrained(checkpoint), Counts(), max_rows=4)
    go_on = held(batcher, pool)
    futures: list[Future[Any]] = [
        pool.submit(Asking(batcher, Ticket()).think, QUESTIONS, budget=6),
        pool.submit(Asking(batcher, Ticket()).encode_document, QUESTIONS),
    ]
    until(lambda: len(batcher._inbox) == 2)
    closing = pool.submit(batcher.close)
    until(lambda: not batcher.alive)
    with pytest.raises(Cancelled, match="shutting down"):
        Asking(batcher, Ticket()).think(QUESTIONS, budget=6)
    go_on.set()
    closing.result(60)
    assert [len(future.result(1)) for future in futures] == [len(QUESTIONS)] * 2
