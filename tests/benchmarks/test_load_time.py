"""benchmarks/load_time.py runs, on a tiny file. What it measures there means nothing."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from gguf_files import write_gguf

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def load_time() -> ModuleType:
    return importlib.import_module("load_time")


def test_one_run(load_time: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    path = write_gguf(tmp_path / "tiny.gguf")
    found = load_time.run(str(path), 4, str(tmp_path / "cache"))
    assert all(found[key] > 0 for key in load_time.MEASURES)
    assert found["query_peak_mb"] >= found["load_peak_mb"] > 100
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_the_modes_take_turns(
    load_time: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caches = []

    def run(model: str, think: int, cache: str) -> dict[str, Any]:
        caches.append(cache)
        return {**dict.fromkeys(load_time.MEASURES, len(caches)), "content": "same"}

    monkeypatch.setattr(load_time, "run", run)
    assert load_time.main(["--repeats", "2", "--json", str(tmp_path / "out.json")]) == 0
    assert caches[0] == caches[3] == "off"
    assert caches[1] == caches[2] != caches[4] == caches[5]  # an empty one in each round
    content = json.loads((tmp_path / "out.json").read_text())
    assert [one["load_s"] for one in content["runs"]["kept"]] == [3, 6]
    assert content["origin"]["command"].startswith("python benchmarks/load_time.py --repeats 2")
    assert "| kept | 4.50 (3.00-6.00) | 4.50" in capsys.readouterr().out


def test_runs_that_differ(
    load_time: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = iter(["same", "same", "other"])
    monkeypatch.setattr(load_time, "run", lambda *_: {"content": next(contents)})
    assert load_time.main(["--repeats", "1"]) == 2
    assert "the runs differ in weights, thought or vector" in capsys.readouterr().err
