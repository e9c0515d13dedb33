"""Result files of invented systems on invented tasks, for the tests of `t1 report`."""

import gzip
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thought1.evaluation.statistics.protocol import bootstrap_ci

SUBJECTS = ("kettles", "ice", "rust", "bread", "sails", "bridges", "bees", "glass")


@dataclass
class ResultFile:
    """One result; `write` puts it, and its details, where an evaluation would."""

    task: str = "kitchen-dev"
    system: str = "t1-tiny"
    kind: str = "t1"
    task_kind: str = "beir"
    revision: str = "0123456789abcdef"
    mode: str = "dense"
    think: int | None = 16
    queries: int = 24
    level: float = 0.5
    """Roughly the mean of nDCG@10."""
    seed: int = 0
    details: bool = True
    curve: bool = False
    faithfulness: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    """Put over the top-level fields."""
    texts: dict[str, str] = field(default_factory=dict)
    """query id -> what stands as query, thought, relevant document and hit."""

    def write(self, folder: Path) -> Path:
        home = folder / self.system.replace("/", "--") / f"{self.revision}-{self.mode}-{self.think}"
        home.mkdir(parents=True, exist_ok=True)
        path = home / f"{self.task}.json"
        path.write_text(json.dumps({**self.content(), **self.changes}, indent=1))
        if self.details:
            with gzip.open(home / f"{self.task}.details.jsonl.gz", "wt", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in self.lines())
        return path

    def values(self) -> dict[str, float]:
        rng = random.Random(f"{self.task} {self.system} {self.mode} {self.think} {self.seed}")
        hard = random.Random(self.task)
        found = {}
        for query in self.ids():
            luck = self.level + 0.5 * (hard.random() - 0.5) + 0.6 * (rng.random() - 0.5)
            found[query] = 0.0 if luck < 0.2 else round(min(luck, 1.0), 4)
        return found

    def ids(self) -> list[str]:
        return [f"q{number:03d}" for number in range(self.queries)]

    def content(self) -> dict[str, Any]:
        values = self.values()
        per_query = {
            "ndcg@10": values,
            "recall@1": {query: float(value > 0.6) for query, value in values.items()},
            "recall@100": {query: min(1.0, value * 1.5) for query, value in values.items()},
        }
        thinks = self.think or 0
        content: dict[str, Any] = {
            "format": 1,
            "task": {
                "name": self.task,
                "kind": self.task_kind,
                "folder": "examples/kitchen",
                "split": "dev",
                "queries": self.queries,
                "documents": 400,
                "hashes": {"corpus.jsonl": "c" * 64, "qrels/dev.tsv": "d" * 64},
            },
            "system": {
                "name": self.system,
                "kind": self.kind,
                "revision": self.revision,
                "mode": self.mode,
                "think": self.think,
                "weights": "a" * 64 if self.kind == "t1" else None,
                "settings": "b" * 64 if self.kind == "t1" else None,
            },
            "metrics": {name: sum(of.values()) / len(of) for name, of in per_query.items()},
            "ci": {name: bootstrap_ci(list(of.values())) for name, of in per_query.items()},
            "queries": self.queries,
            "per_query": per_query,
            "cost": {
                "prompt_tokens": 41.5,
                "thought_tokens": {"mean": 0.8 * thinks, "p95": 1.0 * thinks},
                "forced": 0.25 if thinks else 0.0,
                "milliseconds": {"think": 2.5 * thinks, "embed": 4.25, "search": 0.75},
                "peak_memory_mb": 512.0,
                "price_per_million_tokens": None,
                "cost_per_1000_queries": None,
            },
            "origin": {
                "command": ["t1", "evaluate", "examples/kitchen", "--split", "dev"],
                "date": "2026-11-20T09:30:00+00:00",
                "commit": "e" * 40,
                "seed": self.seed,
                "machine": {"processor": "invented", "cores": 2},
                "versions": {"thought1": "0.0", "python": "3.11"},
            },
            "files": {
                "run": f"{self.task}.run.gz",
                "details": f"{self.task}.details.jsonl.gz",
            },
        }
        if self.curve:
            content["curve"] = self.points(content["metrics"]["ndcg@10"])
        if self.faithfulness:
            content["faithfulness"] = self.gauge(content["metrics"]["ndcg@10"])
        return content

    def lines(self) -> list[dict[str, Any]]:
        rows = []
        for number, query in enumerate(self.ids()):
            subject = SUBJECTS[number % len(SUBJECTS)]
            hostile = self.texts.get(query)
            rank = number % 5
            hits = [
                {
                    "id": hostile or f"note-{(number * 7 + place) % 400}",
                    "score": round(0.9 - 0.03 * place, 4),
                    "text": hostile or f"An invented note on {subject}, the {place}th of ten. " * 3,
                }
                for place in range(10)
            ]
            thought = hostile or f"The question is about {subject}. What would explain it? Heat."
            rows.append(
                {
                    "_id": query,
                    "query": hostile or f"Why do {subject} behave so in case {number}?",
                    "thought": thought if self.think else None,
                    "thought_tokens": 12 if self.think else 0,
                    "finish_reason": "emb_token" if self.think else None,
                    "relevant": [hits[rank]["id"], f"unseen-{number}"],
                    "hits": hits,
                }
            )
        return rows

    def points(self, mean: float) -> dict[str, Any]:
        budgets = (0, 8, 16, 32, 64)
        values = [mean + shift for shift in (-0.08, -0.03, 0.0, 0.03, 0.02)]
        return {
            "budgets": list(budgets),
            "points": [
                {
                    "budget": budget,
                    "tokens": 0.85 * budget,
                    "milliseconds": 5 + 2.5 * budget,
                    "metrics": {"ndcg@10": value},
                    "ci": {"ndcg@10": [value - 0.04, value + 0.04]},
                    "per_query": {},
                }
                for budget, value in zip(budgets, values, strict=True)
            ],
            "baselines": [
                {
                    "name": "BM25",
                    "milliseconds": 0.6,
                    "tokens": 0,
                    "metrics": {"ndcg@10": mean - 0.14},
                },
                {
                    "name": "small encoder",
                    "milliseconds": 6.0,
                    "tokens": 0,
                    "metrics": {"ndcg@10": mean - 0.09},
                },
            ],
            "pareto": ["BM25", 0, 8, 16, 32],
        }

    def gauge(self, mean: float) -> dict[str, Any]:
        shifts = {"own": 0.0, "empty": -0.05, "random": -0.09, "swapped": -0.07, "repeated": -0.04}
        cosines = {"own": 1.0, "empty": 0.91, "random": 0.71, "swapped": 0.8, "repeated": 0.88}
        return {
            "budget": 16,
            "rows": {
                name: {
                    "cosine": cosines[name],
                    "per_query": self.values(),
                    "ndcg@10": mean + shift,
                }
                for name, shift in shifts.items()
            },
            "mean_length": 12.5,
            "p95_length": 16.0,
            "forced": 0.25,
            "distinct": self.queries - 2,
            "gap": None,
            "ignores_thoughts": False,
            "warning": "it is not shown that own thoughts retrieve better than swapped ones",
            "advantages": {
                name: {"mean": -shift, "low": -shift - 0.04, "high": -shift + 0.04}
                for name, shift in shifts.items()
                if name != "own"
            },
            "dispersion": self.dispersion(mean),
        }

    def dispersion(self, mean: float) -> dict[str, Any]:
        shifts = {"bare": -0.05, "own": 0.0, "sampled": -0.03, "fused": 0.01}
        return {
            "budget": 16,
            "copies": 4,
            "temperature": 1.0,
            "distances": self.values(),
            "distance": 0.178,
            "correlation": -0.25,
            "rows": {
                name: {"ndcg@10": mean + shift, "per_query": self.values()}
                for name, shift in shifts.items()
            },
            "gains": {
                name: {"mean": shift + 0.05, "low": shift + 0.01, "high": shift + 0.09}
                for name, shift in shifts.items()
                if name != "bare"
            },
        }


def kitchen(folder: Path, *, queries: int = 24) -> Path:
    """One task, three systems, everything there is to show."""
    ResultFile(level=0.55, curve=True, faithfulness=True, queries=queries).write(folder)
    ResultFile(level=0.48, think=0, queries=queries).write(folder)
    ResultFile(
        system="bm25", kind="bm25", mode="bm25", think=None, level=0.3, queries=queries
    ).write(folder)
    return folder


def bright(folder: Path) -> Path:
    """Two systems on three of BRIGHT's subsets."""
    for system, kind, level in (("t1-tiny", "t1", 0.4), ("bm25", "bm25", 0.25)):
        for subset in ("biology", "economics", "robotics"):
            ResultFile(
                task=f"bright-{subset}",
                task_kind="bright",
                system=system,
                kind=kind,
                mode="dense" if kind == "t1" else "bm25",
                think=16 if kind == "t1" else None,
                level=level,
            ).write(folder)
    return folder
