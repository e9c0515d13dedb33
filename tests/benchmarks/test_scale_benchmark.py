"""benchmarks/scale.py: every step on a small collection, and that its memory figures are a step's.

What it measures at this size means nothing.
"""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

STEPS = [
    "make documents",
    "make model",
    "encode documents",
    "index",
    "think",
    "search, index",
    "search, words",
    "search, blockwise",
    "evaluate",
]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")


@pytest.fixture
def scale() -> ModuleType:
    return importlib.import_module("scale")


def test_scale_runs(
    scale: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = tmp_path / "out.json"
    assert scale.main(["--documents", "200", "--queries", "20", "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert list(tmp_path.iterdir()) == [file]  # the collection is gone
    assert found["origin"]["command"].startswith("python benchmarks/scale.py --documents 200")
    assert (found["documents"], found["queries"]) == (200, 20)
    assert [step["name"] for step in found["steps"]] == STEPS
    for step in found["steps"]:
        assert step["seconds"] > 0
        assert 0 <= step["above_start_mb"] < step["peak_mb"]
    assert found["vectors_mb"] == 200 * 128 * 4 / 1e6
    assert 0 < found["thought_tokens"] <= 20 * found["budget"]
    assert found["agreement"] == 1.0  # both are exact
    # Eight words of the answer, of twenty and more: words must find what random weights need not.
    assert found["metrics"]["words"]["recall@1"] > 0.8
    dense = [found["metrics"][name]["ndcg@10"] for name in ("index", "blockwise")]
    assert dense[0] == pytest.approx(dense[1], abs=1e-9)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in printed[2:-1]] == [f"| {name}" for name in STEPS]
    assert printed[-1].endswith("share 100.00% of the first 10")


def test_memory_is_measured_by_step(scale: ModuleType) -> None:
    meter = scale.Meter()
    meter.run("large", lambda: float(np.ones(12_000_000).sum()))  # 96 MB, freed again
    meter.run("small", lambda: float(np.ones(1000).sum()))
    large, small = meter.steps
    assert 90 < large.above_start_mb < 130
    assert small.above_start_mb < 20
    assert small.peak_mb < large.peak_mb - 70


def test_wrong_sizes_are_refused(scale: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    for queries in ("0", "11"):
        with pytest.raises(SystemExit):
            scale.main(["--documents", "10", "--queries", queries])
        assert "at most --documents" in capsys.readouterr().err
