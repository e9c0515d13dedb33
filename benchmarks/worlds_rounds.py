"""Rounds of reading and thinking on worlds: do they find what no thought can recall?

    python benchmarks/worlds_rounds.py --seeds 0 1 2 --output runs/reading --json FILE

For each seed a world in which the facts of two entities of five are in documents alone (`t1 worlds
--share-indexed --reading`) and a model from scratch by `recipes/worlds-reading.toml`. It is asked
the tests of these facts (indexed1 to indexed3) and, beside them, chains of taught facts (hop2,
hop3), through an index, as `t1 search` would: without a thought, after one, after reading once, and
after up to three or five rounds. The reference thought is the bound. What is finished in `--output`
is not trained again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from record import exit_code, origin, write_json
from worlds import (
    MEASURE,
    Values,
    by_seed,
    make_folder,
    sizes,
    summary,
    table,
    train_arm,
    worlds_parser,
)

from thought1.data.formats import BeirFolder, read_thoughts
from thought1.data.worlds import WorldSettings
from thought1.evaluation.collection import run_of
from thought1.evaluation.statistics.protocol import evaluate
from thought1.index import Index
from thought1.search.options import SearchOptions
from thought1.search.pipeline import search_in_batches
from thought1.t1 import T1
from thought1.types import SearchResult

KINDS = ("indexed1", "indexed2", "indexed3", "hop2", "hop3")
ROUNDS = (1, 2, 3, 5)
ONCE = "one thought"
"""What all ways are compared with."""


@dataclass(slots=True)
class Asked:
    """What one seed's model answered, way by way."""

    values: dict[str, Values] = field(default_factory=dict)
    cost: dict[str, dict[str, float]] = field(default_factory=dict)
    """For a question: tokens of prompts and of thoughts, milliseconds, rounds."""
    traces: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Kind -> the rounds of its first questions, with the most rounds allowed."""


def ways(evidence: int) -> dict[str, SearchOptions]:
    """Name -> how the index is searched."""
    made = {
        "no thought": SearchOptions(mode="dense", think=0),
        ONCE: SearchOptions(mode="dense"),
    }
    for rounds in ROUNDS:
        name = "reading once" if rounds == 1 else f"up to {rounds} rounds"
        made[name] = SearchOptions(mode="dense", evidence=evidence, rounds=rounds)
    return made


def ask(folder: Path, model: T1, evidence: int, where: Path) -> Asked:
    """All ways of searching, on all kinds of questions."""
    beir = BeirFolder(folder)
    texts = {query.id: query.text for query in beir.queries()}
    references = read_thoughts(folder / "thoughts.jsonl")
    index = Index.create(where, model, overwrite=True)
    index.add(beir.corpus())
    index.optimize()
    asked = Asked()
    for kind in KINDS:
        qrels = beir.qrels(f"test-{kind}")
        questions = [texts[id_] for id_ in qrels]
        for name, options in ways(evidence).items():
            results, receipt = search_in_batches(index, questions, options)
            asked.values.setdefault(name, {})[kind] = judged(results, qrels)
            cost = {
                "prompt_tokens": receipt.prompt_tokens / len(questions),
                "thought_tokens": receipt.thought_tokens / len(questions),
                "milliseconds": sum(receipt.milliseconds.values()) / len(questions),
                "rounds": fmean(max(1, len(result.rounds)) for result in results),
            }
            asked.cost[f"{name}, {kind}"] = {key: round(each, 1) for key, each in cost.items()}
            if options.rounds == max(ROUNDS):
                asked.traces[kind] = [trace(result) for result in results[:3]]
        behind = [references[id_] for id_ in qrels]
        results, _ = search_in_batches(index, questions, SearchOptions(mode="dense"), behind)
        asked.values.setdefault("reference thought", {})[kind] = judged(results, qrels)
    return asked


def judged(
    results: Sequence[SearchResult], qrels: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """nDCG@10 of each question."""
    return dict(evaluate(run_of(qrels, results), qrels, [MEASURE]).per_query[MEASURE])


def trace(result: SearchResult) -> dict[str, Any]:
    """What a search read and thought, to be looked at."""
    rounds = [{"evidence": one.evidence, "thought": one.thought} for one in result.rounds]
    return {"question": result.query, "rounds": rounds, "first": [h.id for h in result.hits[:2]]}


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Run, print, write."""
    seeds, made, costs, traces = [], {}, {}, {}
    for seed in options.seeds:
        folder = make_folder(options.output, WorldSettings(seed=seed, **options.world))
        made[seed] = train_arm(options, seed, "t1", folder)
        model = T1.from_pretrained(made[seed]["folder"], dtype="float32", device="cpu")
        asked = ask(folder, model, options.evidence, options.output / f"index-{seed}")
        seeds.append(by_seed(seed, asked.values))
        costs[seed], traces[seed] = asked.cost, asked.traces
        print(f"seed {seed}: {made[seed]}", file=sys.stderr, flush=True)
    report = summary(seeds, ONCE, KINDS)
    print(table(report, KINDS))
    print(differences(report))
    if options.json:
        content = {**origin("worlds_rounds.py", arguments), "evidence": options.evidence}
        content |= {"models": made, "cost": costs, "traces": traces, "results": report}
        write_json(options.json, content)


def differences(report: Mapping[str, Any]) -> str:
    """Each way minus one thought."""
    lines = []
    for name, kinds in report.items():
        shown = []
        for kind in KINDS:
            found = kinds[kind]["difference"]
            shown.append(f"{kind} {found['mean']:+.3f} [{found['low']:.3f}, {found['high']:.3f}]")
        lines.append(f"{name} minus {ONCE}: {', '.join(shown)}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = worlds_parser("Rounds of reading and thinking on worlds.", "worlds-reading.toml")
    parser.add_argument("--indexed", type=float, default=0.4, help="share of the entities")
    parser.add_argument("--reading", type=int, default=20000, help="training questions that read")
    parser.add_argument("--evidence", type=int, default=4, help="documents that are read at once")
    options = parser.parse_args(arguments)
    reading = {"share_indexed": options.indexed, "reading": options.reading}
    options.world = sizes(options) | reading
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
