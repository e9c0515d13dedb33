"""benchmarks/reading_data.py: what is shown before a thought, and what is left to think."""

import importlib
import json
from pathlib import Path

import pytest
from small_facts import write_facts

from thought1.training.data.trajectories import read_evidence


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data sets, with a question of training and one that is none."""
    write_facts(tmp_path)
    (tmp_path / "data" / "cot_flan").mkdir(parents=True)
    facts = (tmp_path / "facts").rename(tmp_path / "data" / "entailmentbank")
    asked = {"train:1": "Why do ice cubes crack?", "dev:1": "Why are roads salted?"}
    rows = [json.dumps({"_id": id_, "text": text}) for id_, text in asked.items()]
    (facts / "queries.jsonl").write_text("\n".join(rows) + "\n")
    return tmp_path / "data"


def test_facts_that_are_shown_are_not_thought(data: Path, tmp_path: Path) -> None:
    script, made = importlib.import_module("reading_data"), tmp_path / "made"
    arguments = [str(data), "--model", str(tmp_path / "qwen3"), "--evidence", "2"]
    arguments += ["--output", str(made)]
    thoughts = data / "entailmentbank" / "thoughts.jsonl"

    def run(facts: list[str]) -> tuple[str, ...]:
        rows = [{"_id": id_, "answer": "heat", "facts": facts} for id_ in ("train:1", "dev:1")]
        thoughts.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        assert script.main(arguments) == 0
        evidence = read_evidence(made / "evidence.jsonl")
        assert set(evidence) == {"train:1"} and len(evidence["train:1"]) == 2
        return evidence["train:1"]

    one, other = run(["nothing of this"])
    # Twice, and by another case and with other spaces: the second run replaces the first.
    run([one.upper().replace(" ", "  "), "what is missing", other])
    (found,) = map(json.loads, (made / "missing.jsonl").read_text().splitlines())
    assert found == {"_id": "train:1", "answer": "heat", "facts": ["what is missing"]}
    assert (made / "entailmentbank" / "corpus.jsonl").is_file() and (made / "cot_flan").is_dir()


def test_missing_data_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(tmp_path), "--model", "t1-nano", "--output", str(tmp_path / "made")]
    assert importlib.import_module("reading_data").main(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")
