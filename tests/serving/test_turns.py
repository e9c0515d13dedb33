"""Searches take turns at the store; writes do not wait for them."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from live_server import notes_index

from thought1.serving.shelf import make_shelf
from thought1.serving.turns import StoreInTurn, Turns
from thought1.testing import FakeModel
from thought1.types import Document


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.002)


def test_so_many_at_a_time_and_the_first_come_is_next() -> None:
    turns, served = Turns(2), []
    leave = [threading.Event() for _ in range(8)]

    def take(number: int) -> None:
        with turns.turn():
            served.append(number)
            assert leave[number].wait(30)

    with ThreadPoolExecutor(8) as pool:
        futures = []
        for number in range(8):
            futures.append(pool.submit(take, number))
            until(lambda n=number: len(served) + len(turns._waiting) == n + 1)
        for number, future in enumerate(futures):
            assert served == list(range(min(number + 2, 8)))
            leave[number].set()
            future.result(30)
            until(lambda n=number: len(served) == min(n + 3, 8))
    assert turns._free == 2


def test_a_failure_gives_the_place_back() -> None:
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turns.turn():
            raise ZeroDivisionError
    with turns.turn():
        pass


def test_a_write_does_not_wait_for_searches(tmp_path: Path) -> None:
    def start(*_: Any) -> Any:
        return None

    shelf = make_shelf({"notes": notes_index(tmp_path / "notes.index", FakeModel())}, start)
    served = shelf.index(None)
    store = served.searching._store
    assert isinstance(store, StoreInTurn)
    with ThreadPoolExecutor(1) as pool, ExitStack() as held:
        for _ in range(store._turns._free):
            held.enter_context(store._turns.turn())
        waiting = pool.submit(served.searching.search, "steam", 1, mode="bm25")
        until(lambda: store._turns._waiting)
        served.index.add([Document("steam", "Steam is hot.")])
        assert served.index.delete(["ice"]) == 1
        assert not waiting.done()
        held.close()
        assert waiting.result(30).hits[0].id == "steam"
