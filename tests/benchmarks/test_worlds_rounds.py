"""The benchmark of rounds on worlds: the whole of it on a very small world."""

import importlib
import json
from pathlib import Path

import pytest

TINY = (
    "model.scratch.layers=1",
    "model.scratch.hidden_size=32",
    "model.scratch.heads=2",
    "model.thought_budget=12",
    "stages.0.max_steps=3",
    "stages.1.max_steps=3",
    "stages.2.max_steps=3",
)


def test_the_whole_benchmark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = importlib.import_module("worlds_rounds")
    arguments = ["--seeds", "3", "--output", str(tmp_path / "runs"), "--evidence", "2"]
    arguments += ["--reading", "40", "--entities", "80", "--questions", "100", "--tests", "4"]
    for setting in TINY:
        arguments += ["--set", setting]
    result = tmp_path / "result.json"
    assert script.main([*arguments, "--json", str(result)]) == 0
    found = json.loads(result.read_text("utf-8"))
    assert set(found["results"]) == {*script.ways(2), "reference thought"}
    for kinds in found["results"].values():
        assert set(kinds) == set(script.KINDS)
    cost = found["cost"]["3"]
    once, several = (cost[f"{name}, indexed2"] for name in ("reading once", "up to 3 rounds"))
    assert 1 == once["rounds"] <= several["rounds"] <= 3
    assert once["prompt_tokens"] <= several["prompt_tokens"]
    for shown in found["traces"]["3"].values():
        assert all(1 <= len(one["rounds"]) <= max(script.ROUNDS) for one in shown)
    assert "up to 5 rounds minus one thought: indexed1 " in capsys.readouterr().out


def test_bad_input_ends_with_2(tmp_path: Path) -> None:
    script = importlib.import_module("worlds_rounds")
    assert script.main(["--output", str(tmp_path / "runs"), "--indexed", "0.9"]) == 2
