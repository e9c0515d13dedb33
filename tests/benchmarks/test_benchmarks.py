"""benchmarks/speed.py runs, on a tiny model. What it measures there means nothing."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from tiny import make_checkpoint

from thought1 import T1

ROOT = Path(__file__).resolve().parents[2]


def module(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> T1:
    """A tiny model with short instructions: it reads 256 tokens."""
    plain = T1.from_pretrained(make_checkpoint(tmp_path_factory.mktemp("plain") / "qwen3"))
    settings = replace(
        plain.settings,
        document=replace(plain.settings.document, instruction="text:"),
        query=replace(plain.settings.query, instruction="question:"),
    )
    return T1(replace(plain.checkpoint, settings=settings))


def test_speed_runs(model: T1, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    command = [sys.executable, ROOT / "benchmarks" / "speed.py", "--quick"]
    done = subprocess.run(
        [*command, "--model", tmp_path / "model", "--json", tmp_path / "out.json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["origin"]["command"].startswith("python benchmarks/speed.py --quick")
    names = [result["task"]["name"] for result in report["documents"]]
    assert names == [
        f"{length}, {which} instruction"
        for which in ("own", "empty")
        for length in ("short", "long")
    ]
    for result in (*report["documents"], report["queries"]):
        assert result["difference"] <= 1e-4
        for spread in result["comparison"].values():
            assert 0 < spread["low"] <= spread["median"] <= spread["high"]
    assert len(done.stdout.splitlines()) == 8
    assert report["processor"] in done.stdout and report["route"]["kept"] in done.stdout
    assert all(name in done.stdout for name in names)


def test_a_model_that_reads_too_little_is_refused(model: T1, tmp_path: Path) -> None:
    settings = replace(model.settings, max_document_tokens=100)
    T1(replace(model.checkpoint, settings=settings)).save_pretrained(tmp_path)
    assert module("speed").main(["--quick", "--model", str(tmp_path)]) == 2


def test_texts_have_the_lengths_asked_for(model: T1) -> None:
    texts = module("speed_texts")
    length = texts.Length(30, 45)
    written = texts.write_texts(model, 40, length, seed=1)
    counts = [len(ids) for ids in model.renderer.text(written)]
    assert min(counts) >= 30 and max(counts) <= 45 and len(set(counts)) > 8
    assert written == texts.write_texts(model, 40, length, seed=1)
    assert written != texts.write_texts(model, 40, length, seed=2)


def test_words_are_plain_and_appear_once() -> None:
    words = module("speed_texts").WORDS
    assert len(set(words)) == len(words) > 500
    assert all(word.isascii() and word.islower() and word.isalpha() for word in words)


def test_operations_of_a_known_model(model: T1) -> None:
    assert model.checkpoint.model.config.num_hidden_layers == 3
    # Query, key, value, output; 4 heads of width 8, 2 of keys and values; gate, up, down.
    matrices = 3 * (32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48)
    pairs = (1 + 2) + (3 + 4 + 5)  # a prefix of 2 tokens; a row of 3 that sees it
    operations = module("speed_matmul").encoding_operations(model.checkpoint.model, 2, [3])
    assert operations == 2 * matrices * 5 + 4 * 3 * 32 * pairs


def test_a_rate_of_matrix_products_is_positive() -> None:
    rates = module("speed_matmul").matmul_rates((64,), repeats=2)
    assert {"torch"} <= set(rates) <= {"torch", "onednn"} and min(rates.values()) > 0


def test_a_comparison_pairs_the_repeats() -> None:
    timing = module("timing")
    ours, peer = timing.Times([1, 2, 4], [1, 1, 1]), timing.Times([3, 2, 4], [2, 4, 3])
    comparison = timing.Comparison.of(ours, peer)
    assert comparison.wall == timing.Spread(1, 1, 3)
    assert comparison.cpu == timing.Spread(3, 2, 4)
    assert str(comparison.cpu) == "3.00 (2.00-4.00)"


def test_candidates_run_in_turn() -> None:
    ran: list[str] = []
    times = module("timing").interleaved(
        {"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, 3
    )
    assert ran == ["a", "b", "b", "a", "a", "b"]
    assert len(times["a"].wall) == len(times["b"].cpu) == 3


def test_the_peer_is_forced_to_end_at_each_rows_length() -> None:
    processor = module("speed_queries").EndAt(prompt=2, lengths=[1, 2], token=3)
    scores = processor(torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 5))
    assert scores.tolist() == [[-torch.inf] * 3 + [0, -torch.inf], [1] * 5]


def test_a_step_of_training_has_the_peer_s_gradient(
    model: T1, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.save_pretrained(tmp_path / "model")
    flags = ["--model", str(tmp_path / "model"), "--rows", "3", "--tokens", "16", "--repeats", "1"]
    assert module("train_speed").main([*flags, "--json", str(tmp_path / "out.json")]) == 0
    assert json.loads((tmp_path / "out.json").read_text())["difference"] < 1e-4
    assert "times faster" in capsys.readouterr().out
    assert module("train_speed").main(["--model", str(tmp_path / "gone")]) == 2
