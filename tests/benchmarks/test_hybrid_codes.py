"""benchmarks/hybrid_codes.py on a collection of a few sentences, with a tiny model."""

import importlib
import json
from pathlib import Path

import pytest
from small_facts import write_facts


def test_words_find_the_codes(tmp_path: Path) -> None:
    write_facts(tmp_path)
    out = tmp_path / "out.json"
    arguments = [str(tmp_path / "facts"), "--split", "dev", "--model", str(tmp_path / "qwen3")]
    assert importlib.import_module("hybrid_codes").main([*arguments, "--json", str(out)]) == 0
    modes = json.loads(out.read_text("utf-8"))["modes"]
    assert modes["bm25"]["ndcg@10"] > 0.95 > modes["dense"]["ndcg@10"]
    assert modes["hybrid"]["ndcg@10"] > modes["dense"]["ndcg@10"]


def test_bad_input_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path), "--split", "dev", "--model", "t1-nano"]
    assert importlib.import_module("hybrid_codes").main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")
