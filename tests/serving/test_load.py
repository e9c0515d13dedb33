"""`t1 serve` under load (benchmarks/serve_load.py): `make test-slow` runs the long form, the
normal run a reduced twin. No time is compared with anything."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from benchmark_modules import benchmark_module
from live_server import notes_index
from t1_command import QUERIES

from thought1.t1 import T1

serve_load = benchmark_module("serve_load")

QUESTIONS = [QUERIES["q1"], QUERIES["q2"]]
"""Those whose words the notes hold from the start, so that every search of them finds something."""


def check_load(
    folder: Path, model: T1, clients: int, seconds: float, options: Sequence[str] = ()
) -> None:
    notes_index(folder, model)
    load = serve_load.Load(clients, seconds, seconds / 3, QUESTIONS)
    report = serve_load.campaign(folder, load, options)
    serve_load.show(report)
    assert report.problems == []
    shown = report.to_json()
    assert shown["requests"] == report.seen.requests > shown["refused"]
    assert len(shown["memory_mib"]["under_load"]) == serve_load.SAMPLES
    assert {"add", "bm25", "think"} <= set(report.seen.milliseconds)
    assert report.seen.refused > 0  # more came than it takes


def test_mixed_clients_get_what_they_were_promised(tmp_path: Path, model: T1) -> None:
    few_places = ["--max-requests", "12"]
    check_load(tmp_path / "notes.index", model, clients=30, seconds=3, options=few_places)


@pytest.mark.slow
def test_two_hundred_clients_for_three_minutes(tmp_path: Path, model: T1) -> None:
    check_load(tmp_path / "notes.index", model, clients=200, seconds=180)
