"""Retrieval quality of several systems on one collection, measured in one run.

    python benchmarks/quality.py FOLDER --split test --system bm25=bm25 \
        --system t1=t1:runs/seed-0@0,t1:runs/seed-1@0 --reference bm25 --json OUT

`systems.py` lists what a system can be. Several specs, parted by commas, are seeds of one system:
its value for a query is the mean over them, and the smallest and largest mean of a seed are shown
beside it. Intervals are 95% bootstrap intervals over queries, differences are paired
(thought1.evaluation.statistics.protocol). It knows no recipe and trains nothing.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from collection import (
    Collection,
    answers_elsewhere,
    given_thoughts,
    load_collection,
    restrict_qrels,
    restrict_run,
)
from record import exit_code, origin, write_json
from systems import Runner, parse_spec

from thought1.data.formats import write_run
from thought1.evaluation.statistics.protocol import (
    Evaluation,
    Interval,
    PairedDifference,
    bootstrap_ci,
    evaluate,
    paired_bootstrap,
)
from thought1.types import Qrels, Run, Thought1Error

MEASURES = ("ndcg@10", "recall@100")


@dataclass(frozen=True, slots=True)
class Result:
    """One system on one set of judgements."""

    seeds: tuple[Evaluation, ...]
    mean: Evaluation
    ci: Mapping[str, Interval]
    differences: Mapping[str, Mapping[str, PairedDifference]]
    """reference -> measure -> this system minus that one"""

    def spread(self, measure: str) -> Interval:
        """The smallest and the largest mean of a seed."""
        means = [seed.metrics[measure] for seed in self.seeds]
        return min(means), max(means)

    def to_json(self) -> dict[str, Any]:
        """Everything but the values of single queries."""
        return {
            "queries": self.mean.queries,
            "metrics": self.mean.metrics,
            "ci": self.ci,
            "seeds": [seed.metrics for seed in self.seeds],
            "spread": {name: self.spread(name) for name in MEASURES},
            "differences": {
                reference: {name: asdict(found) for name, found in of.items()}
                for reference, of in self.differences.items()
            },
        }


def compare(
    runs: Mapping[str, Sequence[Run]], qrels: Qrels, references: Sequence[str]
) -> dict[str, Result]:
    """Evaluate the runs (one per seed) of each system on the same judgements."""
    seeds = {name: tuple(evaluate(run, qrels, MEASURES) for run in of) for name, of in runs.items()}
    means = {name: average(of) for name, of in seeds.items()}
    return {
        name: Result(
            seeds[name],
            mean,
            {m: bootstrap_ci(list(values.values())) for m, values in mean.per_query.items()},
            {other: _difference(mean, means[other]) for other in references if other != name},
        )
        for name, mean in means.items()
    }


def average(seeds: Sequence[Evaluation]) -> Evaluation:
    """For each query the mean over seeds."""
    return Evaluation(
        {
            measure: {
                query: fmean(seed.per_query[measure][query] for seed in seeds) for query in values
            }
            for measure, values in seeds[0].per_query.items()
        }
    )


def _difference(a: Evaluation, b: Evaluation) -> dict[str, PairedDifference]:
    return {name: paired_bootstrap(a.per_query[name], b.per_query[name]) for name in MEASURES}


def table(results: Mapping[str, Result], measure: str, references: Sequence[str]) -> str:
    """One measure as a Markdown table; every cell with brackets holds a 95% interval."""
    head = ["system", measure, "seeds, min to max", *(f"minus {name}" for name in references)]
    rows = [head, ["---"] * len(head)]
    for name, result in results.items():
        row = [name, f"{result.mean.metrics[measure]:.4f} {_range(result.ci[measure])}"]
        low, high = result.spread(measure)
        row.append(
            f"{len(result.seeds)}: {low:.4f} to {high:.4f}" if len(result.seeds) > 1 else "1"
        )
        for reference in references:
            found = result.differences.get(reference, {}).get(measure)
            row.append(f"{found.mean:+.4f} {_range((found.low, found.high))}" if found else "")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _range(interval: Interval) -> str:
    return f"[{interval[0]:.4f}, {interval[1]:.4f}]"


def parse_systems(given: Sequence[str], references: Sequence[str]) -> dict[str, list[str]]:
    """name -> specs from `NAME=SPEC,SPEC,...`.

    Raises:
        Thought1Error: a wrong or repeated name, an unknown spec, a reference that is not given.
    """
    systems: dict[str, list[str]] = {}
    for text in given:
        name, equals, specs = text.partition("=")
        if not equals or not re.fullmatch(r"[\w.-]+", name) or name in systems:
            raise Thought1Error(
                f"--system {text}: it must be NAME=SPEC, with a name of its own out of letters, "
                "digits, points and hyphens"
            )
        systems[name] = specs.split(",")
        for spec in systems[name]:
            parse_spec(spec)
    for name in references:
        if name not in systems:
            raise Thought1Error(f"--reference {name} is none of {', '.join(systems)}")
    return systems


def parts(options: argparse.Namespace, collection: Collection) -> dict[str, Qrels]:
    """The judgements to report on: all, and with --seen-split those of facts seen and not seen."""
    if options.seen_except and not options.seen_split:
        raise Thought1Error("--seen-except needs --seen-split")
    found = {"all": collection.qrels}
    if options.seen_split:
        seen = answers_elsewhere(
            options.folder, options.seen_split, collection, options.seen_except
        )
        found["seen"] = restrict_qrels(collection.qrels, seen)
        found["unseen"] = restrict_qrels(collection.qrels, collection.documents.keys() - seen)
    return {name: qrels for name, qrels in found.items() if qrels}


def run_benchmark(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Run, evaluate, print, write."""
    systems = parse_systems(options.system, options.references)
    collection = load_collection(options.folder, options.split, options.ids)
    if options.thoughts:
        form = (options.thoughts, options.thought, options.terms)
        collection = replace(collection, thoughts=given_thoughts(collection.queries, *form))
    judgements = parts(options, collection)
    runner = Runner(collection)
    runs: dict[str, list[Run]] = {}
    described: dict[str, list[dict[str, Any]]] = {}
    for name, specs in systems.items():
        print(f"{name}: {', '.join(specs)}", file=sys.stderr)
        runs[name] = [runner.run(parse_spec(spec)) for spec in specs]
        described[name] = [{"spec": spec, **runner.describe(parse_spec(spec))} for spec in specs]
    report: dict[str, Any] = {
        **origin("quality.py", arguments),
        "documents": len(collection.documents),
        "systems": described,
        "results": {},
    }
    for part, qrels in judgements.items():
        cut = {
            n: [restrict_run(run, collection.qrels, qrels) for run in of] for n, of in runs.items()
        }
        results = compare(cut, qrels, options.references)
        report["results"][part] = {name: result.to_json() for name, result in results.items()}
        for name in MEASURES:
            shown = table(results, name, options.references)
            print(f"\n{part} facts, {len(qrels)} queries\n\n{shown}")
    if options.runs:
        _write_runs(options.runs, runs)
    if options.json:
        write_json(options.json, report)


def _write_runs(folder: Path, runs: Mapping[str, Sequence[Run]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, seeds in runs.items():
        for number, run in enumerate(seeds, 1):
            tag = f"{name}-{number}" if len(seeds) > 1 else name
            write_run(folder / f"{tag}.run", run, tag)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 2 where the input is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        description="Retrieval quality of several systems, in one run."
    )
    parser.add_argument("folder", type=Path, help="collection in BEIR layout")
    parser.add_argument("--split", required=True, help="judgements: qrels/SPLIT.tsv")
    parser.add_argument("--ids", type=Path, help="file of question ids: use only these")
    parser.add_argument(
        "--system", action="append", required=True, metavar="NAME=SPEC[,SPEC...]",
        help="bm25, store-bm25, minilm, st:FOLDER, t1:FOLDER@N, hybrid:FOLDER@N; see systems.py",
    )  # fmt: skip
    parser.add_argument(
        "--thoughts", type=Path, help="JSON lines with _id: what t1:FOLDER@given reads"
    )
    parser.add_argument(
        "--thought", default="{text}", metavar="PATTERN", help="a thought out of a line's fields"
    )
    parser.add_argument(
        "--terms", type=int, default=0, metavar="N", help="cut those thoughts to N key terms"
    )
    parser.add_argument(
        "--reference", action="append", default=[], dest="references", metavar="NAME",
        help="subtract this system from the others; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--seen-split", metavar="SPLIT",
        help="report facts that answer other questions of this split apart from those that do not",
    )  # fmt: skip
    parser.add_argument("--seen-except", type=Path, help="file of ids that --seen-split ignores")
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--runs", type=Path, help="write every run (TREC format) to this folder")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run_benchmark(options, arguments))


if __name__ == "__main__":
    raise SystemExit(main())
