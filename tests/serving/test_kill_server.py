"""kill -9 of `t1 serve` while clients change documents: nothing acknowledged is lost.

Each round kills the server after a random time and starts it again on the same index. A document
must then be as its client was told last, or as the request made it that was never answered.
`make test-slow` runs the long campaign, the normal run a reduced twin.
"""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from benchmark_modules import benchmark_module
from live_server import notes_index
from t1_command import NOTES

from thought1.index import Index
from thought1.t1 import T1

server_process = benchmark_module("server_process").server_process

CLIENTS = 6
DOCUMENTS = 80
"""Of each client."""


class Changer:
    """A client whose documents nobody else changes."""

    def __init__(self, number: int) -> None:
        self._chance = random.Random(number)
        self._generation = 0
        self.ids = [f"client{number}-{place}" for place in range(DOCUMENTS)]
        self.told: dict[str, str | None] = dict.fromkeys(self.ids)
        """The text that was acknowledged last; None where none, or the deletion was."""
        self.unanswered: dict[str, str | None] = {}
        self.answers = 0

    def run(self, http: httpx.Client) -> None:
        """Add, replace and delete, until the server is killed."""
        while True:
            self._generation += 1
            some = self._chance.sample(self.ids, self._chance.choice([1, 5, 40]))
            word = f"{some[0].replace('-', 'x')}x{self._generation}"
            self.unanswered = {id_: f"{word} of {id_}" for id_ in some}
            deletes = self._chance.random() < 0.2
            if deletes:
                self.unanswered = dict.fromkeys(some)
            try:
                answer = self._send(http, deletes)
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            self.told.update(self.unanswered)
            self.unanswered = {}
            self.answers += 1

    def _send(self, http: httpx.Client, deletes: bool) -> httpx.Response:
        if deletes:
            return http.delete("/v1/documents", params={"id": list(self.unanswered)})
        documents = [{"id": id_, "text": text} for id_, text in self.unanswered.items()]
        return http.post("/v1/documents", json={"documents": documents})

    def check(self, index: Index) -> int:
        """Compare what is stored with what was told; how many documents there are."""
        found = index.get(self.ids)
        for id_, told in self.told.items():
            text = found[id_].text if id_ in found else None
            assert text in (told, self.unanswered.get(id_, told)), id_
            self.told[id_] = text
        self.unanswered = {}
        return len(found)


@contextmanager
def clients(url: str) -> Iterator[list[httpx.Client]]:
    opened = [httpx.Client(base_url=url, timeout=120) for _ in range(CLIENTS)]
    yield opened
    for client in opened:
        client.close()


def kill_under_changes(server: Any, changers: list[Changer], seconds: float) -> None:
    with clients(server.url) as opened, ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(c.run, http) for c, http in zip(changers, opened, strict=True)]
        threading.Timer(seconds, server.process.kill).start()
        for one in running:
            one.result(120)


def check(server: Any, folder: Path, model: T1, changers: list[Changer]) -> None:
    """Each document is there once, as it was told, and is found by its words and its vector."""
    expected = len(NOTES) + sum(c.check(Index.open(folder, model)) for c in changers)
    with httpx.Client(base_url=server.url, timeout=120) as http:
        (index,) = http.get("/v1/indexes").json()["indexes"]
        assert index["documents"] == expected  # with all ids found above: each id once
        kept = [(id_, text) for c in changers for id_, text in c.told.items() if text is not None]
        for id_, text in kept[::97]:
            assert id_ in {hit["id"] for hit in search(http, text, "bm25", DOCUMENTS)}
            stored = {hit["id"]: hit["text"] for hit in search(http, text, "dense", expected)}
            assert len(stored) == expected
            assert stored[id_] == text


def search(http: httpx.Client, query: str, mode: str, k: int) -> Any:
    body = {"query": query, "mode": mode, "k": k, "think": 0}
    answer = http.post("/v1/search", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][0]["hits"]


def kill_while_serving(folder: Path, model: T1, rounds: int) -> int:
    """How many requests were acknowledged before the kills."""
    chance = random.Random(30)
    notes_index(folder, model)
    changers = [Changer(number) for number in range(CLIENTS)]
    for _ in range(rounds):
        with server_process(folder) as server:
            check(server, folder, model, changers)
            kill_under_changes(server, changers, chance.uniform(0.05, 2.0))
    with server_process(folder) as server:
        check(server, folder, model, changers)
        assert not [line for line in server.log if "Traceback" in line]
    return sum(changer.answers for changer in changers)


def test_kill_a_server(tmp_path: Path, model: T1) -> None:
    assert kill_while_serving(tmp_path / "notes.index", model, rounds=2) > 0


@pytest.mark.slow
def test_campaign_of_kills_of_a_server(tmp_path: Path, model: T1) -> None:
    start = time.monotonic()
    answers = kill_while_serving(tmp_path / "notes.index", model, rounds=50)
    print(f"50 kills, {answers} acknowledged requests, {time.monotonic() - start:.0f} s")
    assert answers > 50
