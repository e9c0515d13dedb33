"""Which results are baselines of a curve, and what the studies of an evaluation hold together."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thought1.evaluation.request import Request
from thought1.evaluation.systems import SystemFacts
from thought1.evaluation.task import Task
from thought1.evaluation.thoughts.curve import Curve, Point, Rival
from thought1.evaluation.thoughts.studies import Studied, other_systems, plan_studies
from thought1.types import Query, Thought1Error

FACTS = SystemFacts("small@4", "t1", "abc", "dense", 4, "weights", "settings")
TASK = Task(
    "facts-dev",
    "facts",
    "dev",
    [Query("q1", "why")],
    {"q1": {"d1": 1}},
    {"corpus.jsonl": "c", "queries.jsonl": "q"},
    pytest.fail,
)


def keep(
    folder: Path,
    name: str,
    *,
    task: str = TASK.name,
    hashes: Mapping[str, str] = TASK.hashes,
    measure: str = "ndcg@10",
    **system: Any,
) -> None:
    """A result file of plain BM25; `system` are fields of "system" that differ from that."""
    plain: dict[str, Any] = {"kind": "bm25", "revision": "1", "mode": "bm25"}
    plain |= {"think": None, "weights": None, "settings": None}
    content = {
        "format": 1,
        "task": {
            "name": task, "kind": "beir", "folder": "facts", "split": "dev", "queries": 1,
            "documents": 2, "hashes": dict(hashes),
        },
        "system": {"name": name} | plain | system,
        "metrics": {measure: 0.5}, "ci": {measure: [0.4, 0.6]}, "queries": 1,
        "per_query": {measure: {"q1": 0.5}},
        "cost": {
            "prompt_tokens": 9, "thought_tokens": {"mean": 3.5, "p95": 4}, "forced": 0,
            "milliseconds": {"think": 2.0, "dense": 0.5}, "peak_memory_mb": 1,
            "price_per_million_tokens": None, "cost_per_1000_queries": None,
        },
        "origin": {}, "files": {"run": "r", "details": "d"}, "request": {},
    }  # fmt: skip
    path = folder / name / system.get("revision", "1") / f"{task}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


def test_other_systems(tmp_path: Path) -> None:
    own: dict[str, Any] = {
        "kind": "t1",
        "weights": "weights",
        "settings": "settings",
        "mode": "dense",
    }
    keep(tmp_path, "bm25")
    keep(tmp_path, "small@0", **own)
    keep(tmp_path, "small@4-hybrid", **own | {"mode": "hybrid"})
    keep(tmp_path, "other", **own | {"weights": "others"})
    keep(tmp_path, "elsewhere", task="other-dev")
    keep(tmp_path, "changed", hashes={**TASK.hashes, "corpus.jsonl": "x"})
    keep(tmp_path, "bm25+gpt4", hashes={**TASK.hashes, "rewritten": "r"})
    keep(tmp_path, "recalled", measure="recall@1")
    assert other_systems(tmp_path, TASK, FACTS) == [
        Rival(name, 2.5, 0.5, 3.5) for name in ("bm25", "other", "small@4-hybrid")
    ]
    keep(tmp_path, "bm25", revision="2")
    names = [found.name for found in other_systems(tmp_path, TASK, FACTS)]
    assert names == ["bm25 (1)", "bm25 (2)", "other", "small@4-hybrid"]
    assert other_systems(tmp_path / "none", TASK, FACTS) == []


def test_other_systems_needs_whole_results(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[]")
    with pytest.raises(Thought1Error, match=r"broken\.json is not the result"):
        other_systems(tmp_path, TASK, FACTS)


class Words:
    """A system without vectors."""

    facts = SystemFacts("words", "bm25", "1", "bm25")

    def rank(self, *_: object) -> Any:
        raise AssertionError

    def close(self) -> None:
        raise AssertionError


def test_no_plan_where_nothing_is_wanted(tmp_path: Path) -> None:
    request = Request("facts", "dev")
    assert plan_studies(request, TASK, Words(), tmp_path) is None
    with pytest.raises(ValueError, match="words has no vectors"):
        plan_studies(replace(request, curve="0,8"), TASK, Words(), tmp_path)


def test_what_was_not_studied_is_absent() -> None:
    assert Studied().to_extras().curve is None
    assert Studied().tables() == []
    curve = Curve((Point(8, 7.5, 12.0, {"q1": 0.5, "q2": 1.0}),), (Rival("bm25", 1.0, 0.5),))
    studied = Studied(curve)
    assert studied.to_extras().curve == curve.to_json()
    assert studied.to_extras().faithfulness is None
    assert studied.tables()[:2] == ["", "thinking curve"]
