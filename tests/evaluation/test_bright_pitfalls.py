"""docs/bright.md: the table of pitfalls is what its command prints, and its numbers hold."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "bright.md").read_text(encoding="utf-8")


def test_the_page_shows_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("bright_pitfalls")
    found = script.pitfalls(tmp_path, seed=0)
    assert [pitfall.letter for pitfall in found] == list("abcdefghij")
    assert all(f"{p.right_value:.3f}" != f"{p.wrong_value:.3f}" for p in found)
    assert f"\n\n{script.table(found)}\n\n" in PAGE
    queries, documents = re.findall(r"collection of (\d+)\s+queries over (\d+) documents", PAGE)[0]
    subset = script.BrightSource(str(tmp_path)).load("leetcode")
    assert (len(subset.queries), len(subset.pool)) == (int(queries), int(documents))
    explained = re.findall(r"^- \*\*([a-j])\.\*\*", PAGE, re.MULTILINE)
    assert explained == list("abcdefghij")
