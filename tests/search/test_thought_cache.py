"""Thoughts that are kept on disk: the same answer, and only where everything is the same."""

import base64
import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thought1.files.bounded import BoundedFile
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.search.thought_cache import CachedThinker, default_file
from thought1.testing import FakeModel
from thought1.types import Document, Sampling, Thought, Watched

QUESTION = "why does it float"
KNOWLEDGE = {QUESTION: "ice is less dense than water", "bread": "yeast makes gas"}

CHILD = """
import sys
from pathlib import Path
from thought1.files.bounded import BoundedFile
from thought1.search.thought_cache import CachedThinker
from thought1.testing import FakeModel
model = FakeModel(knowledge={"q": "a thought"})
thinker = CachedThinker(model, "same", BoundedFile(Path(sys.argv[1]), 10**6))
found = thinker.think([f"q{n}" for n in range(20)] + ["q"], budget=4)
print(model.think_calls, sum(one.cached for one in found), found[-1].text)
"""


class Counting(FakeModel):
    """Notes which queries it thinks about."""

    def __init__(self, **more: Any) -> None:
        super().__init__(knowledge=KNOWLEDGE, **more)
        self.thought: list[str] = []

    def think(self, queries: Sequence[str], **more: Any) -> list[Thought]:
        self.thought += queries
        return super().think(queries, **more)


@pytest.fixture
def kept(tmp_path: Path) -> BoundedFile:
    return BoundedFile(tmp_path / "thoughts.sqlite", 10**6)


def thinker(kept: BoundedFile, identity: str = "model-1") -> tuple[CachedThinker, Counting]:
    model = Counting()
    return CachedThinker(model, identity, kept), model


def same(one: Sequence[Thought], other: Sequence[Thought]) -> None:
    assert list(one) == list(other)
    for a, b in zip(one, other, strict=True):
        assert a.vector is not None and b.vector is not None
        assert a.vector.dtype == np.float32
        np.testing.assert_array_equal(a.vector, b.vector)


def test_the_same_question_is_thought_about_once(kept: BoundedFile) -> None:
    first, model = thinker(kept)
    asked = [QUESTION, "bread", QUESTION]
    new = first.think(asked, budget=4)
    assert sorted(model.thought) == sorted([QUESTION, "bread"])
    assert [one.cached for one in new] == [False] * 3
    again, other = thinker(kept)
    found = again.think([*asked, "tides"], budget=4)
    assert other.thought == ["tides"]
    assert [one.cached for one in found] == [True, True, True, False]
    same(found[:3], new)
    same(found, FakeModel(knowledge=KNOWLEDGE).think([*asked, "tides"], budget=4))


@pytest.mark.parametrize(
    "other",
    [
        {"budget": 5},
        {"budget": None},
        {"sampling": Sampling(0.7, seed=1)},
        {"sampling": Sampling(0.7, seed=2)},
        {"sampling": Sampling(no_repeat_ngram=2)},
        {"samples": 2},
        {"evidence": [["read first"]]},
    ],
)
def test_whatever_differs_is_thought_anew(kept: BoundedFile, other: dict[str, Any]) -> None:
    first, model = thinker(kept)
    first.think([QUESTION], budget=4)
    first.think([QUESTION], **{"budget": 4, **other})
    assert len(model.thought) == 2
    found = first.think([QUESTION], **{"budget": 4, **other})
    assert len(model.thought) == 2 and all(one.cached for one in found)
    same(found, FakeModel(knowledge=KNOWLEDGE).think([QUESTION], **{"budget": 4, **other}))


def test_another_model_finds_nothing(kept: BoundedFile) -> None:
    thinker(kept)[0].think([QUESTION], budget=4)
    other, model = thinker(kept, "model-2")
    assert not other.think([QUESTION], budget=4)[0].cached
    assert model.thought == [QUESTION]


def test_bare_queries_and_checkpoints_are_not_kept(kept: BoundedFile) -> None:
    first, model = thinker(kept)
    for more in ({"budget": 0}, {"checkpoints": (0, 2)}, {"checkpoints": Watched((0, 2), _none)}):
        for _ in range(2):
            assert not first.think([QUESTION], **more)[0].cached
    assert len(model.thought) == 6
    assert not kept.path.exists()


def _none(_tokens: int, _vectors: Any) -> tuple[()]:
    return ()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[]",
        "{}",
        "[[1, 2, 3, 4]]",
        '[["x", [1], "none", "?"]]',
        '[["x", [1], "odd", ""]]',
        '[["x", [1], "eos", "AACAfw=="]]',
    ],
)
def test_a_broken_entry_is_written_again(kept: BoundedFile, value: str) -> None:
    first, _ = thinker(kept)
    (new,) = first.think([QUESTION], budget=4)
    with sqlite3.connect(kept.path) as file:
        file.execute("UPDATE kept SET value = ?", (value,))
    (found,) = first.think([QUESTION], budget=4)
    assert not found.cached and found == new
    assert first.think([QUESTION], budget=4)[0].cached


def test_an_entry_of_another_dimension_is_not_taken(kept: BoundedFile) -> None:
    first, _ = thinker(kept)
    first.think([QUESTION], budget=4)
    short = base64.b64encode(np.ones(3, "<f4").tobytes()).decode()
    with sqlite3.connect(kept.path) as file:
        file.execute("UPDATE kept SET value = ?", (json.dumps([["x", [1], "eos", short]]),))
    assert not first.think([QUESTION], budget=4)[0].cached


def test_a_search_counts_what_was_kept(tmp_path: Path, kept: BoundedFile) -> None:
    cached, model = thinker(kept)
    index = Index.create(tmp_path / "x.index", cached)
    index.add([Document("ice", "ice is less dense"), Document("bread", "bread rises")])
    options = SearchOptions(mode="dense", think=4)
    plain, _ = index.with_model(model).search_many([QUESTION, "bread"], options)
    first, receipt = index.search_many([QUESTION], options)
    assert (receipt.cached, receipt.thought_tokens, receipt.forced) == (0, 4, 1)
    both, receipt = index.search_many([QUESTION, "bread"], options)
    assert (receipt.cached, receipt.thought_tokens, receipt.forced) == (1, 3, 0)
    assert [r.hits for r in both] == [r.hits for r in plain]
    assert first[0] == both[0]
    several = replace(options, samples=3)
    index.search_many([QUESTION], several)
    _, receipt = index.search_many([QUESTION], several)
    assert (receipt.cached, receipt.thought_tokens) == (3, 0)


def test_two_processes_share_the_file(kept: BoundedFile) -> None:
    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", CHILD, str(kept.path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    together = [start(), start()]
    for child in together:
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 0 and out.split()[2:] == ["a", "thought"]
    later = start()
    out, _ = later.communicate(timeout=120)
    assert out.split() == ["0", "21", "a", "thought"]


def test_the_file_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_file().path == tmp_path / "thought1" / "thoughts.sqlite"
