"""kill -9 in the middle of everything that writes: nothing acknowledged is lost.

Each trial starts a process (kill_child.py), kills it after a random time, opens what it left,
and compares every document with what the process said was safe. `make test-slow` runs the long
campaign, the normal run a reduced twin.
"""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
from kill_child import DOCUMENTS, documents

from thought1 import Document, Index, Thought1Error
from thought1.store.writer import content_hash
from thought1.testing import FakeModel

CHILD = Path(__file__).parents[1] / "kill_child.py"
IDS = [document.id for document in documents(0)]


@contextmanager
def child(task: str, folder: Path, generation: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(CHILD), task, str(folder), str(generation)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def kill(process: subprocess.Popen[str], first: str) -> dict[str, int]:
    """The last number of each word that the child said until it was killed."""
    assert process.stdout is not None and process.stderr is not None
    process.kill()
    said = dict(line.split() for line in [first, *process.stdout] if line.endswith("\n"))
    assert "ready" in said, process.stderr.read()
    return {word: int(number) for word, number in said.items()}


def ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def run_and_kill(task: str, folder: Path, generation: int, seconds: float) -> dict[str, int]:
    """Kill the child `seconds` after it is ready; the last number of each word it said."""
    with child(task, folder, generation) as process:
        first = ready(process)
        time.sleep(seconds)
        return kill(process, first)


def hashes(generation: int) -> list[str]:
    return [content_hash(document) for document in documents(generation)]


def stored(index: Index) -> list[str | None]:
    found = index._store.hashes(IDS)
    return [found.get(id_) for id_ in IDS]


def check_found(index: Index, document: Document) -> None:
    """Found by its words and by its vector, as it is."""
    for query, mode in ((document.title, "bm25"), (f"{document.title} {document.text}", "dense")):
        (hit,) = index.search(query, 1, mode=mode).hits
        found = Document(hit.id, hit.text, hit.title, hit.metadata)
        assert found == document


def check_search(index: Index, generation: int) -> None:
    """Every document is whole: found by its own word and by its vector, once, with metadata."""
    assert len(index) == DOCUMENTS
    for document in islice(documents(generation), 0, None, 499):
        check_found(index, document)
    everything = index.search(f"gen{generation}x", 2 * DOCUMENTS, mode="bm25").hits
    assert len({hit.id for hit in everything}) == len(everything) == DOCUMENTS


def kill_while_adding(folder: Path, trials: int) -> None:
    chance = random.Random(20)
    Index.create(folder, FakeModel())
    before: list[str | None] = [None] * DOCUMENTS
    for generation in range(1, trials + 1):
        said = run_and_kill("add", folder, generation, chance.uniform(0.0, 1.5))
        index = Index.open(folder, FakeModel())
        now, new = stored(index), hashes(generation)
        safe = said.get("safe", 0)
        assert now[:safe] == new[:safe]
        rest = zip(now[safe:], new[safe:], before[safe:], strict=True)
        assert all(found in (fresh, old) for found, fresh, old in rest)
        assert len(index) == sum(found is not None for found in now)
        before = now

    resumed = FakeModel()
    index = Index.open(folder, resumed)
    report = index.add(documents(trials))
    assert report.unchanged == sum(a == b for a, b in zip(before, hashes(trials), strict=True))
    assert len(resumed.encoded) == DOCUMENTS - report.unchanged
    assert stored(index) == hashes(trials)
    check_search(index, trials)
    index.optimize()
    check_search(index, trials)


def kill_two_writers(folder: Path, trials: int) -> None:
    """Two processes write the same ids; both are killed, the second some time after the first."""
    chance = random.Random(23)
    Index.create(folder, FakeModel())
    before: list[str | None] = [None] * DOCUMENTS
    for trial in range(trials):
        one, other = 2 * trial + 1, 2 * trial + 2
        with child("add", folder, one) as first, child("add", folder, other) as second:
            words = ready(first), ready(second)
            time.sleep(chance.uniform(0.0, 0.7))
            said = [kill(first, words[0])]
            time.sleep(chance.uniform(0.0, 0.7))
            said.append(kill(second, words[1]))
        index = Index.open(folder, FakeModel())
        now = stored(index)
        safe = max(words.get("safe", 0) for words in said)
        fresh = list(zip(hashes(one), hashes(other), strict=True))
        assert all(now[i] in fresh[i] for i in range(safe))
        assert all(now[i] in (*fresh[i], before[i]) for i in range(safe, DOCUMENTS))
        assert len(index) == sum(found is not None for found in now)  # each id once
        before = now
    index.add(documents(2 * trials))
    check_search(index, 2 * trials)


def kill_while_optimizing(folder: Path, trials: int) -> None:
    chance = random.Random(21)
    safe = 1
    Index.create(folder, FakeModel()).add(documents(safe))
    rest = hashes(safe)[100:]
    for _ in range(trials):
        said = run_and_kill("optimize", folder, safe + 1, chance.uniform(0.0, 1.5))
        safe = said.get("safe", safe)
        index = Index.open(folder, FakeModel())
        now = stored(index)
        assert now[100:] == rest
        pairs = zip(now[:100], hashes(safe), hashes(safe + 1), strict=False)
        assert all(found in (old, new) for found, old, new in pairs)
        whole = index._store.get([IDS[0], IDS[50], *IDS[100::499]])
        for document in whole.values():
            check_found(index, document)
    index.add(documents(safe + 1))
    index.optimize()
    assert stored(index) == hashes(safe + 1)
    check_search(index, safe + 1)


def kill_while_creating(folder: Path, trials: int) -> None:
    chance = random.Random(22)
    for trial in range(trials):
        base = folder / str(trial)
        said = run_and_kill("create", base, 0, chance.uniform(0.0, 0.3))
        created = said.get("created", -1)
        for number in range(created + 1):
            assert len(Index.open(base / str(number), FakeModel())) == 0
        last = base / str(created + 1)  # the one that the kill may have hit
        try:
            index = Index.open(last, FakeModel())
        except Thought1Error as error:
            assert "no index" in str(error)
            index = Index.create(last, FakeModel())
        index.add(documents(0))
        check_search(index, 0)


def test_kill_while_adding(tmp_path: Path) -> None:
    kill_while_adding(tmp_path / "index", trials=2)


def test_kill_two_writers(tmp_path: Path) -> None:
    kill_two_writers(tmp_path / "index", trials=2)


def test_kill_while_optimizing(tmp_path: Path) -> None:
    kill_while_optimizing(tmp_path / "index", trials=1)


def test_kill_while_creating(tmp_path: Path) -> None:
    kill_while_creating(tmp_path, trials=1)


@pytest.mark.slow
def test_campaign_of_kills_while_adding(tmp_path: Path) -> None:
    kill_while_adding(tmp_path / "index", trials=15)


@pytest.mark.slow
def test_campaign_of_kills_of_two_writers(tmp_path: Path) -> None:
    kill_two_writers(tmp_path / "index", trials=50)


@pytest.mark.slow
def test_campaign_of_kills_while_optimizing(tmp_path: Path) -> None:
    kill_while_optimizing(tmp_path / "index", trials=15)


@pytest.mark.slow
def test_campaign_of_kills_while_creating(tmp_path: Path) -> None:
    kill_while_creating(tmp_path, trials=10)
