"""How much of a thought's gain is kept at how many of its tokens, for every gate and stop rule.

    python benchmarks/search_adaptive.py FOLDER --split train --ids IDS \
        --model models/t1-mini-companion --kept FOLDER --json OUT

Every rule is tried on one full greedy thought about each question, read at several checkpoints
(`search_thoughts`); what a rule gives is computed as `t1 calibrate` computes it. The row "held out"
is what to expect of other questions: each fifth of them by the rule that the rest chose.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
from collection import load_collection
from record import exit_code, origin, write_json
from search import MEASURE, Bench, collection_parser, fill
from search_thoughts import CHECKPOINTS, Thinking

from thought1.evaluation.statistics.protocol import paired_bootstrap
from thought1.model.place import locate
from thought1.search.adaptive import Adaptive, Gate, Signal, shared, signal
from thought1.search.calibration import (
    COSINES,
    KEEP,
    OVERLAPS,
    SHARES,
    Observed,
    Outcome,
    Rule,
    choose,
    held_out,
    outcome,
)
from thought1.search.options import SearchOptions
from thought1.t1 import T1
from thought1.types import SearchResult


def observe(bench: Bench) -> Observed:
    """What one thought about each question gives at each checkpoint."""
    rows, found = zip(
        *(
            bench.search("", "", SearchOptions(mode="dense", think=tokens))
            for tokens in CHECKPOINTS
        ),
        strict=True,
    )
    ids = list(bench.collection.queries)
    vectors_QCD = bench.kept.vectors_QCD
    cosine_QC = np.zeros(vectors_QCD.shape[:2])
    cosine_QC[:, 1:] = (vectors_QCD[:, 1:] * vectors_QCD[:, :-1]).sum(axis=2)
    overlap_QC = np.zeros_like(cosine_QC)
    for place, (before, now) in enumerate(pairwise(found), start=1):
        pairs = zip(before, now, strict=True)
        overlap_QC[:, place] = [shared(_ids(one), _ids(other)) for one, other in pairs]
    _, words = bench.search("", "", SearchOptions(mode="bm25"))
    return Observed(
        CHECKPOINTS,
        np.array([[row.values[id_] for row in rows] for id_ in ids]),
        np.minimum(bench.kept.tokens_Q[:, None], np.array(CHECKPOINTS)[None]).astype(float),
        cosine_QC,
        overlap_QC,
        {name: _signals(name, found[0], words) for name in get_args(Signal)},
    )


def families(observed: Observed) -> Iterator[tuple[str, float, Rule]]:
    """Every single rule: its family, its threshold, and the rule."""
    for value in COSINES:
        yield "cosine", value, Adaptive(CHECKPOINTS, cosine=value)
    for value in OVERLAPS:
        yield "overlap", value, Adaptive(CHECKPOINTS, overlap=value)
    for name, values_Q in observed.signals.items():
        for below in sorted({float(np.quantile(values_Q, share)) for share in SHARES}):
            yield f"gate {name}", below, Adaptive(CHECKPOINTS, gate=Gate(name, below))


def points(observed: Observed) -> list[dict[str, Any]]:
    """All rules with their quality, tokens, and the difference from the full budget."""
    full, bare = outcome(observed, True), outcome(observed, False)
    chosen = choose(observed)
    found = [("never", 0.0, bare), ("always", 0.0, full)]
    for at, tokens in enumerate(CHECKPOINTS[1:-1], start=1):
        fixed = Outcome(observed.quality_QC[:, at], observed.tokens_QC[:, at])
        found.append(("budget", tokens, fixed))
    for family, value, rule in families(observed):
        found.append((family, value, outcome(observed, rule)))
    found.append((f"chosen ({_shown(chosen)})", KEEP, outcome(observed, chosen)))
    found.append(("held out", KEEP, held_out(observed)))
    return [_point(family, value, one, full) for family, value, one in found]


def _point(family: str, value: float, found: Outcome, full: Outcome) -> dict[str, Any]:
    pairs = ({str(n): float(v) for n, v in enumerate(one.quality_Q)} for one in (found, full))
    return {
        "family": family,
        "threshold": value,
        MEASURE: found.quality,
        "tokens": found.tokens,
        "share of tokens": found.tokens / full.tokens,
        "minus always": asdict(paired_bootstrap(*pairs)),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All points as Markdown."""
    lines = [["rule", "threshold", MEASURE, "minus always", "tokens", "share"], ["---"] * 6]
    for row in rows:
        gap = row["minus always"]
        lines.append(
            [
                row["family"],
                f"{row['threshold']:g}",
                f"{row[MEASURE]:.4f}",
                f"{gap['mean']:+.4f} [{gap['low']:+.3f}, {gap['high']:+.3f}]",
                f"{row['tokens']:.1f}",
                f"{row['share of tokens']:.2f}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ids(result: SearchResult) -> list[str]:
    return [hit.id for hit in result.hits]


def _signals(
    name: Signal, dense: Sequence[SearchResult], words: Sequence[SearchResult]
) -> np.ndarray:
    rankings = (
        [[(hit.id, hit.score) for hit in result.hits] for result in results]
        for results in (dense, words)
    )
    return np.array([signal(name, *pair) for pair in zip(*rankings, strict=True)])


def _shown(rule: Rule) -> str:
    if isinstance(rule, bool):
        return "always" if rule else "never"
    parts = {"cosine": rule.cosine, "overlap": rule.overlap}
    shown = [f"{name} {value:g}" for name, value in parts.items() if value is not None]
    gate = [f"{rule.gate.signal} below {rule.gate.below:.3f}"] if rule.gate else []
    return ", ".join([*shown, *gate])


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Read what was thought, or think; try all rules, print, write."""
    collection = load_collection(options.folder, options.split, options.ids)
    model = T1.from_pretrained(locate(options.model), dtype="float32")
    thinking = Thinking(model, collection, options.kept)
    with tempfile.TemporaryDirectory() as folder:
        rows = points(observe(Bench(thinking, fill(Path(folder), thinking), 1)))
    print(f"{len(collection.queries)} questions, {len(collection.documents)} documents\n")
    print(table(rows))
    if options.json:
        content = {"weights": model.weights_hash, "checkpoints": CHECKPOINTS, "points": rows}
        write_json(options.json, {**origin("search_adaptive.py", arguments), **content})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = collection_parser("What is kept of thinking at fewer tokens.")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
