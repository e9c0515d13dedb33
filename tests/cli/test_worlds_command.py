"""`t1 worlds`: the folder it writes, and what it refuses."""

import json
from pathlib import Path

from t1_command import T1Command

from thought1.data.formats import BeirFolder
from thought1.data.worlds import WorldSettings


def test_worlds_writes_a_folder(t1: T1Command, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "world"
    numbers = ["--seed", 3, "--entities", 60, "--distractors", 5, "--questions", 120, "--tests", 4]
    styles = ["--thoughts", "long", "--share-thoughts", 0.5]
    ran = t1("worlds", out, *numbers, *styles)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"{out}: 60 entities, ")
    assert "125 documents" in ran.out
    about = json.loads((out / "world.json").read_text())
    assert WorldSettings(**about["settings"]) == WorldSettings(3, 60, 5, 120, 4, "long", 0.5)
    assert len(BeirFolder(out).qrels("test-hop3")) == 4
    assert t1("worlds", out).error().endswith("nothing is overwritten")


def test_worlds_refuses_what_makes_no_world(t1: T1Command, tmp_path: Path) -> None:
    refused = t1("worlds", tmp_path / "world", "--entities", 10)
    assert refused.error() == "error: a world has 50 to 50000 entities, not 10"
    assert t1("worlds", tmp_path / "world", "--thoughts", "none").code == 2
    assert list(tmp_path.iterdir()) == []
