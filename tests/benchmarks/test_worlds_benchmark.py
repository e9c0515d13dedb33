"""The worlds benchmark: from values to its table, and the whole of it on a very small world."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

TINY = (
    "model.scratch.layers=1",
    "model.scratch.hidden_size=32",
    "model.scratch.heads=2",
    "stages.0.max_steps=3",
    "stages.1.max_steps=3",
    "stages.2.max_steps=3",
)


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("worlds")


def values(script: ModuleType, seed: int, value: float) -> dict[str, dict[str, float]]:
    return {kind: {f"{seed}/{q}": value for q in "ab"} for kind in script.KINDS}


def test_seeds_are_pooled_by_question_and_shown_apart(script: ModuleType) -> None:
    seeds = [
        {"t1@0": values(script, seed, t1), "control@0": values(script, seed, control)}
        for seed, t1, control in ((0, 1.0, 0.5), (1, 0.6, 0.3))
    ]
    report = script.summary(seeds, "control@0")
    found = report["t1@0"]["hop2"]
    assert found["ndcg@10"] == pytest.approx(0.8)
    assert found["seeds"] == [1.0, 0.6]
    assert found["ratio"] == pytest.approx(2.0)
    assert found["difference"]["mean"] == pytest.approx(0.4)
    assert "| t1@0 | 0.800 (0.600 to 1.000) |" in script.table(report)


def test_the_whole_benchmark(script: ModuleType, tmp_path: Path) -> None:
    arguments = ["--seeds", "3", "--output", str(tmp_path / "runs"), "--budgets", "0", "4"]
    arguments += ["--entities", "60", "--questions", "100", "--tests", "4"]
    for setting in TINY:
        arguments += ["--set", setting]
    result = tmp_path / "result.json"
    assert script.main([*arguments, "--json", str(result)]) == 0
    found = json.loads(result.read_text("utf-8"))
    assert set(found["results"]) == {"t1@0", "t1@4", "t1, reference thought", "control@0"}
    made = found["models"]["3"]
    assert made["t1"]["weights"] != made["control"]["weights"]
    # The arms share all stages but the last.
    for number, name in ((1, "language"), (2, "represent")):
        one, two = (
            (tmp_path / "runs" / f"{arm}-3" / f"{number}-{name}" / "model" / "model.safetensors")
            for arm in ("t1", "control")
        )
        assert one.read_bytes() == two.read_bytes()


def test_bad_input_ends_with_2(script: ModuleType, tmp_path: Path) -> None:
    arguments = ["--output", str(tmp_path), "--recipe", str(tmp_path / "absent.toml")]
    assert script.main(arguments) == 2
