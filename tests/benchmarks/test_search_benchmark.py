"""benchmarks/search.py on a collection of a few sentences, with a tiny model."""

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from small_facts import QUERIES, write_facts

from thought1.t1 import T1

SAMPLES = 3


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection `facts` and a model `qwen3`."""
    made = tmp_path_factory.mktemp("search")
    write_facts(made)
    return made


@pytest.fixture(scope="module")
def command(folder: Path) -> list[str]:
    return [
        str(folder / "facts"), "--split", "dev", "--model", str(folder / "qwen3"),
        "--samples", str(SAMPLES), "--kept", str(folder / "kept"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def report(folder: Path, command: list[str]) -> dict[str, Any]:
    assert module("search").main([*command, "--json", str(folder / "out.json")]) == 0
    found: dict[str, Any] = json.loads((folder / "out.json").read_text())
    return found


def test_every_way_has_a_row(report: dict[str, Any]) -> None:
    search = module("search")
    rows = {row["name"]: row for row in report["rows"]}
    checkpoints = {f"@{tokens}" for tokens in search.CHECKPOINTS}
    assert {"bm25", "hybrid@0", "first", "oracle", *checkpoints, *search.RULES} < set(rows)
    for row in rows.values():
        assert row["ndcg@10"] == pytest.approx(np.mean(row["values"]), abs=1e-5)
        assert len(row["values"]) == len(report["questions"]) == len(QUERIES)
    assert [rows[f"@{n}"]["tokens"] for n in search.CHECKPOINTS] == list(search.CHECKPOINTS)
    # Sampled thoughts may end before their budget; those of all rules are the same ones.
    assert rows["first"]["tokens"] < rows["mean"]["tokens"] <= SAMPLES * search.CHECKPOINTS[-1]
    assert len({rows[name]["tokens"] for name in (*search.RULES, "oracle")}) == 1
    assert rows["@0"]["minus @0"]["mean"] == 0


def test_the_oracle_is_no_worse_than_any_choice(report: dict[str, Any]) -> None:
    rows = {row["name"]: row["values"] for row in report["rows"]}
    for rule in ("first", "like-bare", "like-bm25", "like-others"):
        assert all(a >= b for a, b in zip(rows["oracle"], rows[rule], strict=True))


def test_what_is_repeated_is_what_the_model_thinks(
    report: dict[str, Any], folder: Path, command: list[str]
) -> None:
    search, thoughts = module("search"), module("search_thoughts")
    model = T1.from_pretrained(folder / "qwen3", dtype="float32")
    collection = module("collection").load_collection(folder / "facts", "dev")
    thinking = thoughts.Thinking(model, collection, folder / "kept")
    kept = search.Repeating(thinking, thinking.greedy(), thinking.sampled(SAMPLES))
    texts = list(QUERIES.values())
    for budget in (0, 8, 48):
        found = kept.think(texts, budget=budget, sampling=model.greedy)
        own = model.think(texts, budget=budget, sampling=model.greedy)
        assert [len(one.token_ids) for one in found] == [len(one.token_ids) for one in own]
        np.testing.assert_allclose(
            [one.vector for one in found], [one.vector for one in own], rtol=0, atol=1e-5
        )
    found = kept.think(texts, sampling=model.sampled, samples=SAMPLES)
    own = model.think(texts, budget=48, sampling=model.sampled, samples=SAMPLES)
    np.testing.assert_allclose(
        [one.vector for one in found], [one.vector for one in own], rtol=0, atol=1e-5
    )


def test_what_was_thought_is_not_thought_again(
    report: dict[str, Any], folder: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def think(*_: Any, **__: Any) -> None:
        raise AssertionError("the model thinks again")

    monkeypatch.setattr(T1, "generations", think)
    again = folder / "again.json"
    assert module("search").main([*command, "--json", str(again)]) == 0
    found = {row["name"]: row["values"] for row in json.loads(again.read_text())["rows"]}
    assert found == {row["name"]: row["values"] for row in report["rows"]}


def test_rows_of_a_model_that_reads_first(
    report: dict[str, Any], folder: Path, command: list[str]
) -> None:
    model = T1.from_pretrained(folder / "qwen3")
    query = replace(model.settings.query, pattern="{evidence}{text} \n")
    model.checkpoint.settings = replace(model.settings, query=query)
    model.save_pretrained(folder / "reads")
    out, given = folder / "read.json", command.copy()
    given[given.index("--model") + 1] = str(folder / "reads")
    given[given.index("--samples") + 1] = "1"
    assert module("search").main([*given, "--evidence", "2", "--json", str(out)]) == 0
    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    reading = [row for row in rows.values() if row["section"] == "reading"]
    assert [row["settings"].get("rounds", 1) for row in reading] == [1, 1, 2, 3]
    assert all(row["settings"]["evidence"] == 2 and row["milliseconds"] > 0 for row in reading)
    assert reading[0]["tokens"] < reading[2]["tokens"]  # each round thinks again
    assert not any(row["section"] == "reading" for row in report["rows"])


def test_a_missing_collection_is_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module("search").main([str(tmp_path / "none"), *command[1:]]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_adaptive_points_are_those_of_a_calibration(
    report: dict[str, Any], folder: Path, command: list[str]
) -> None:
    adaptive, out = module("search_adaptive"), folder / "adaptive.json"
    at = command.index("--samples")
    assert adaptive.main([*command[:at], *command[at + 2 :], "--json", str(out)]) == 0
    points = json.loads(out.read_text())["points"]
    rows = {row["name"]: row for row in report["rows"]}
    by_family = {(p["family"].split(" (")[0], p["threshold"]): p for p in points}
    last = adaptive.CHECKPOINTS[-1]
    for family, name in ((("never", 0.0), "@0"), (("always", 0.0), f"@{last}")):
        assert by_family[family]["ndcg@10"] == pytest.approx(rows[name]["ndcg@10"])
    for tokens in adaptive.CHECKPOINTS[1:-1]:
        point = by_family["budget", tokens]
        assert point["ndcg@10"] == pytest.approx(rows[f"@{tokens}"]["ndcg@10"])
        assert point["tokens"] == rows[f"@{tokens}"]["tokens"]
    families = {family for family, _ in by_family}
    assert {"cosine", "overlap", "gate margin", "gate agreement", "chosen", "held out"} < families
    stops = [p["tokens"] for p in points if p["family"] == "cosine"]
    assert stops == sorted(stops)  # the stricter the later
