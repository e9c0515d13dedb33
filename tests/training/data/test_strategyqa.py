"""benchmarks/strategyqa.py: which facts are one document, what is written, and what is refused."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from thought1.data.formats import BeirFolder, read_thoughts
from thought1.training.data.sources import read_ids

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def strategyqa() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("strategyqa")


ROWS: list[dict[str, Any]] = [
    {
        "qid": "a", "question": "Can a dog see red? ",
        "facts": ["Dogs see blue and yellow.", "Red is a colour."],
        "decomposition": ["What?", "#1?"],
    },
    {
        "qid": "b", "question": "Is wine red?",
        "facts": ["red is a colour", "Wine may be red.", " Wine may be red. ", ""],
        "decomposition": [],
    },
]  # fmt: skip


def save(data: Path, rows: Any) -> None:
    (data / "strategyqa").mkdir(parents=True, exist_ok=True)
    (data / "strategyqa" / "train.json").write_text(json.dumps(rows))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("The sky is blue.", "the SKY is blue", True),
        ("There are 365 days in a year on Earth", "There are 366 days in a year on Earth", False),
        ("Any vegan eats no kind of meat", "Any vegan eats no kind of meat, ever", True),
        ("The sky is blue.", "The sea is blue.", False),
    ],
)
def test_near_duplicates(strategyqa: ModuleType, one: str, other: str, same: bool) -> None:
    facts = strategyqa.Facts()
    first = facts.add(one)
    assert (facts.add(other) == first) is same
    assert facts.texts[first] == one
    assert facts.merged == ([(other, first)] if same else [])


def test_the_folder(
    strategyqa: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save(tmp_path, ROWS)
    listed = tmp_path / "ids.txt"
    listed.write_text("# one\nb\n")
    monkeypatch.setattr(strategyqa, "MEASURED", listed)
    folder = tmp_path / "facts"
    assert strategyqa.main(["--data", str(tmp_path), "--output", str(folder)]) == 0
    assert "2 questions, 5 facts, 3 documents: 2 facts merged, 0 of" in capsys.readouterr().out
    beir = BeirFolder(folder)
    assert [document.text for document in beir.corpus()] == [
        "Dogs see blue and yellow.",
        "Red is a colour.",
        "Wine may be red.",
    ]
    assert {query.id: query.text for query in beir.queries()} == {
        "a": "Can a dog see red?",
        "b": "Is wine red?",
    }
    assert beir.splits() == ["measured", "train"]
    assert beir.qrels("measured") == {"b": {"fact-0002": 1, "fact-0003": 1}}
    assert beir.qrels("train") == {"a": {"fact-0001": 1, "fact-0002": 1}}
    assert read_thoughts(folder / "thoughts.jsonl") == {"a": "What? #1?"}


def test_what_is_refused(
    strategyqa: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(output: Path = tmp_path / "out") -> str:
        assert strategyqa.main(["--data", str(tmp_path), "--output", str(output)]) == 2
        return capsys.readouterr().err

    assert "`t1 data get strategyqa` fetches it" in refused()
    for rows in ({"a": 1}, [{"qid": "a"}], [ROWS[0] | {"facts": []}]):
        save(tmp_path, rows)
        assert "is not StrategyQA's train.json" in refused()
    save(tmp_path, ROWS)
    assert "200 of the 200 questions to be measured are missing" in refused()
    assert "lies in the repository" in refused(ROOT / "strategyqa-facts")
    assert not (tmp_path / "out").exists()


def test_the_committed_ids_are_those_that_were_drawn(
    strategyqa: ModuleType, shared_data: Path
) -> None:
    questions = strategyqa.read_questions(shared_data / "strategyqa" / "train.json")
    measured = read_ids(strategyqa.MEASURED)
    assert len(measured) == 200
    assert sorted(measured) == strategyqa.draw(questions)
