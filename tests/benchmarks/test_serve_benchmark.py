"""benchmarks/serve.py runs, on a tiny model. What it measures there means nothing."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
from t1_command import small_checkpoint

from thought1.types import Thought1Error


@pytest.fixture
def benchmark() -> ModuleType:
    return importlib.import_module("serve")


def test_serve_runs(
    benchmark: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, file = small_checkpoint(tmp_path, seed=0), tmp_path / "out.json"
    arguments = ["--model", model, "--clients", "1,3", "--per-client", "2", "--think", "4"]
    assert benchmark.main([*arguments, "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["origin"]["command"].startswith("python benchmarks/serve.py --model")
    for way in ("one_at_a_time", "together"):
        assert [load["clients"] for load in found[way]] == [1, 3]
        assert [load["questions"] for load in found[way]] == [2, 6]
        assert all(load["rate"] > 0 and load["first_token_ms"][0] > 0 for load in found[way])
    assert found["ratio"] == [
        pytest.approx(b["rate"] / a["rate"])
        for a, b in zip(found["one_at_a_time"], found["together"], strict=True)
    ]
    assert found["questions"] == 6
    assert found["other_thoughts"] == 0
    assert "goal at 3 clients" in capsys.readouterr().out


def test_a_server_that_does_not_start_is_told(benchmark: ModuleType, tmp_path: Path) -> None:
    with (
        pytest.raises(Thought1Error, match=r"did not start.*there is no index"),
        benchmark.serving(tmp_path),
    ):
        pass
