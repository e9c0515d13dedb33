"""benchmarks/start_time.py: which commands it runs, and what it says of a failing one."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def start_time() -> ModuleType:
    return importlib.import_module("start_time")


def test_the_modes_take_turns_and_the_first_run_stands_apart(
    start_time: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran: list[tuple[str, ...]] = []

    def t1(*arguments: str) -> tuple[float, float]:
        ran.append(arguments)
        return float(len(ran)), 0.5

    monkeypatch.setattr(start_time, "t1", t1)
    out = tmp_path / "out.json"
    assert start_time.main(["--repeats", "2", "--json", str(out)]) == 0
    assert ran[0][0] == "index" and ran[0][-1] == "t1-nano"
    assert [one[-1] for one in ran[1:]] == ["bm25", "hybrid"] * 3
    seconds = json.loads(out.read_text())["seconds"]
    assert seconds["bm25"]["first"] == [2.0, 0.5]
    assert seconds["bm25"]["wall"] == {"median": 5.0, "low": 4.0, "high": 6.0}
    assert "| bm25 | 5.00 (4.00-6.00) | 0.50 (0.50-0.50) | 2.00, 0.50 |" in capsys.readouterr().out


def test_a_command_that_fails_is_told(
    start_time: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start_time.main(["--model", "/no/such/model", "--repeats", "1"]) == 2
    assert "t1 index failed: error: " in capsys.readouterr().err
    assert start_time.main(["--repeats", "0"]) == 2
    assert "1 or more" in capsys.readouterr().err
