"""Two runs over the same judgements: which is better, by how much, how surely, and where.

Scoring, intervals and tests are elsewhere (`score`, `protocol`, `statistics`). Knows no models.

    found = compare_runs({"dev": RunPair(run_a, run_b, qrels)}, "ndcg@10")
    found["dev"].difference.mean, found["dev"].p
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from thought1.data.rows import BadRow, parse_id
from thought1.data.texts import read_by_id
from thought1.evaluation.statistics.protocol import (
    PairedDifference,
    bootstrap_ci,
    paired_bootstrap,
    paired_differences,
)
from thought1.evaluation.statistics.randomisation import (
    EQUAL,
    Wins,
    count_wins,
    holm,
    randomisation_test,
)
from thought1.evaluation.statistics.score import Exclusions, ScoringRules, score_run
from thought1.metrics import parse_measure
from thought1.types import Qrels, Run, Thought1Error


@dataclass(frozen=True, slots=True)
class RunPair:
    """The two runs of one subset, and its judgements."""

    a: Run
    b: Run
    qrels: Qrels
    excluded: Exclusions = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunComparison:
    """The two systems on one subset."""

    a: Mapping[str, float]
    """query id -> value of the first system."""
    b: Mapping[str, float]
    """query id -> value of the second one; the same queries."""
    interval_a: tuple[float, float]
    interval_b: tuple[float, float]
    """95% intervals of the means."""
    difference: PairedDifference
    """a - b, with its 95% interval by the paired bootstrap."""
    wins: Wins
    p: float
    """Two-sided, of the paired randomisation test."""
    exact: bool
    holm: float
    """p adjusted for the number of subsets; p itself where there is one."""

    @property
    def mean_a(self) -> float:
        """Mean of the first system."""
        return sum(self.a.values()) / len(self.a)

    @property
    def mean_b(self) -> float:
        """Mean of the second system."""
        return sum(self.b.values()) / len(self.b)

    def largest(self, top: int, sign: int) -> list[str]:
        """The queries with the largest wins (sign 1) or losses (-1) of the first system."""
        gains = {query: sign * gap for query, gap in paired_differences(self.a, self.b).items()}
        some = [query for query, gain in gains.items() if gain > EQUAL]
        return sorted(some, key=lambda query: (-gains[query], query))[:top]

    def to_json(self) -> dict[str, Any]:
        """Every number but those of single queries."""
        return {
            "queries": len(self.a),
            "a": {"mean": self.mean_a, "ci": list(self.interval_a)},
            "b": {"mean": self.mean_b, "ci": list(self.interval_b)},
            "difference": {
                "mean": self.difference.mean,
                "ci": [self.difference.low, self.difference.high],
            },
            "p": self.p,
            "exact": self.exact,
            "holm": self.holm,
            **asdict(self.wins),
        }


def compare_runs(
    pairs: Mapping[str, RunPair],
    measure: str,
    *,
    missing: Literal["error", "zero"] = "error",
    ignore_identical_ids: bool = False,
    seed: int = 0,
) -> dict[str, RunComparison]:
    """Compare two systems on one or more subsets: subset -> what was found.

    Args:
        pairs: subset -> runs and judgements, at least one.
        measure: such as "ndcg@10".
        missing: what a judged query does that one of the runs lacks: as `score.Missing`.
        ignore_identical_ids: as in `score.ScoringRules`.
        seed: of resamples and of random signs.

    Raises:
        Thought1Error: what `score_run` refuses; the message names the subset and the run.
    """
    if not pairs:
        raise ValueError("compare_runs needs at least one pair of runs")
    parse_measure(measure)

    def rules(pair: RunPair) -> ScoringRules:
        return ScoringRules(missing, pair.excluded, ignore_identical_ids)

    values = {
        name: (
            _values(pair.a, pair, measure, rules(pair), f"{name}, first run"),
            _values(pair.b, pair, measure, rules(pair), f"{name}, second run"),
        )
        for name, pair in pairs.items()
    }
    gaps = {name: list(paired_differences(a, b).values()) for name, (a, b) in values.items()}
    tests = {name: randomisation_test(gap, seed=seed) for name, gap in gaps.items()}
    adjusted = holm({name: test.p for name, test in tests.items()})
    return {
        name: RunComparison(
            a,
            b,
            interval_a=bootstrap_ci(list(a.values()), seed=seed),
            interval_b=bootstrap_ci(list(b.values()), seed=seed),
            difference=paired_bootstrap(a, b, seed=seed),
            wins=count_wins(gaps[name]),
            p=tests[name].p,
            exact=tests[name].exact,
            holm=adjusted[name],
        )
        for name, (a, b) in values.items()
    }


def read_written_thoughts(path: Path) -> dict[str, str]:
    """Query id -> thought, from lines `{"_id", "thought"}` or `{"_id", "text"}`; may be .gz.

    That is the details file of an evaluation, or a file of thoughts. A thought of null or "" was
    not written and has no entry.

    Raises:
        Thought1Error: with file and line: no such field, or an id twice with two thoughts.
    """
    thoughts = read_by_id(path, _parse_thought, "thought")
    return {query: thought for query, thought in thoughts.items() if thought}


def _parse_thought(fields: Mapping[str, object]) -> tuple[str, str]:
    names = [name for name in ("thought", "text") if name in fields]
    if not names:
        raise BadRow('needs the field "thought" or "text"')
    thought = fields[names[0]]
    if thought is not None and not isinstance(thought, str):
        raise BadRow(f'field "{names[0]}" must be a string or null')
    return parse_id(fields), (thought or "").strip()


def _values(
    run: Run, pair: RunPair, measure: str, rules: ScoringRules, name: str
) -> Mapping[str, float]:
    try:
        score = score_run(run, pair.qrels, [measure], rules)
    except Thought1Error as error:
        raise Thought1Error(f"{name}: {error}") from error
    return score.evaluation.per_query[measure]
