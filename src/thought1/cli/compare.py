"""`t1 compare`: two runs over the same judgements: test, interval, and where they differ most.

Neither statistics nor metrics are here (`thought1.evaluation.statistics.compare`):

    t1 compare thinking.run plain.run --qrels qrels/dev.tsv --queries queries.jsonl --top 5
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from thought1.cli.console import plain, print_json, print_text
from thought1.cli.options import IgnoreIdenticalIds, Json
from thought1.types import Thought1Error

if TYPE_CHECKING:
    from thought1.evaluation.statistics.compare import RunComparison, RunPair

MAIN = "main"
"""The name of the two runs that are given without one."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What is shown with a query of the main pair: query id -> text."""

    queries: Mapping[str, str]
    thoughts_a: Mapping[str, str]
    thoughts_b: Mapping[str, str]


Subsets = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=RUN_A,RUN_B,QRELS[,EXCLUDE]",
        help="Runs of a subset, in addition to RUN_A and RUN_B or without them; may be repeated.",
    ),
]


Metric = Annotated[str, typer.Option(metavar="NAME", help="ndcg@K, recall@K, mrr@K or mrr.")]
Missing = Annotated[
    Literal["error", "zero"],
    typer.Option(help="A judged query that a run lacks: refuse it, or count it as 0."),
]


def compare(
    run_a: Annotated[
        Path | None, typer.Argument(metavar="RUN_A", help="The first system's run.")
    ] = None,
    run_b: Annotated[
        Path | None, typer.Argument(metavar="RUN_B", help="The second system's run.")
    ] = None,
    *,
    qrels_file: Annotated[
        Path | None, typer.Option("--qrels", metavar="FILE", help="The judgements of both.")
    ] = None,
    subset: Subsets = None,
    metric: Metric = "ndcg@10",
    exclude: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Excluded documents, as for `t1 score`.")
    ] = None,
    missing: Missing = "error",
    ignore_identical_ids: IgnoreIdenticalIds = False,
    queries: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="queries.jsonl or a table, to show the questions."),
    ] = None,
    thoughts_a: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The first system's thoughts, JSON lines.")
    ] = None,
    thoughts_b: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The second system's thoughts.")
    ] = None,
    top: Annotated[
        int, typer.Option(min=0, metavar="K", help="Number of the largest wins and losses to show.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the random draws.")] = 0,
    as_json: Json = False,
) -> None:
    """Compare two runs: difference, interval, randomisation test, wins and losses."""
    from thought1.evaluation.statistics.compare import compare_runs

    if (exclude or queries or thoughts_a or thoughts_b) and run_a is None:
        raise Thought1Error(
            "--exclude, --queries, --thoughts-a and --thoughts-b belong to RUN_A and RUN_B: "
            "give these too"
        )
    pairs = _main_pair(run_a, run_b, qrels_file, exclude)
    for text in subset or ():
        _add_subset(pairs, text)
    if not pairs:
        raise Thought1Error("nothing to compare: give RUN_A, RUN_B and --qrels, or --subset")
    texts = _read_texts(queries, thoughts_a, thoughts_b)
    found = compare_runs(
        pairs, metric, missing=missing, ignore_identical_ids=ignore_identical_ids, seed=seed
    )
    if as_json:
        print_json(_data(found, metric, texts, top))
        return
    _show(found, metric)
    for name, comparison in found.items():
        _show_queries(name, comparison, texts, top)


def _read_texts(queries: Path | None, thoughts_a: Path | None, thoughts_b: Path | None) -> Texts:
    from thought1.data.formats import read_queries
    from thought1.evaluation.statistics.compare import read_written_thoughts

    return Texts(
        {query.id: query.text for query in read_queries(queries)} if queries else {},
        read_written_thoughts(thoughts_a) if thoughts_a else {},
        read_written_thoughts(thoughts_b) if thoughts_b else {},
    )


def _main_pair(
    run_a: Path | None, run_b: Path | None, qrels: Path | None, exclude: Path | None
) -> "dict[str, RunPair]":
    if run_a and run_b and qrels:
        return {MAIN: _read_pair(run_a, run_b, qrels, exclude)}
    if run_a or run_b or qrels:
        raise Thought1Error("RUN_A, RUN_B and --qrels are only valid together: give all three")
    return {}


def _add_subset(pairs: "dict[str, RunPair]", text: str) -> None:
    name, _, files = text.partition("=")
    paths = [Path(part) for part in files.split(",") if part]
    if not name or len(paths) not in (3, 4):
        raise Thought1Error(
            f"--subset {text!r} needs the form NAME=RUN_A,RUN_B,QRELS or ...,QRELS,EXCLUDE"
        )
    if name in pairs:
        raise Thought1Error(f"the subset {name!r} is given twice: each needs a different name")
    pairs[name] = _read_pair(paths[0], paths[1], paths[2], paths[3] if len(paths) == 4 else None)


def _read_pair(run_a: Path, run_b: Path, qrels: Path, exclude: Path | None) -> "RunPair":
    from thought1.data.trec import read_exclusions, read_qrels, read_run
    from thought1.evaluation.statistics.compare import RunPair

    excluded = read_exclusions(exclude) if exclude else {}
    return RunPair(read_run(run_a), read_run(run_b), read_qrels(qrels), excluded)


def _data(
    found: "Mapping[str, RunComparison]", metric: str, texts: Texts, top: int
) -> dict[str, Any]:
    subsets = {
        name: {
            **comparison.to_json(),
            "best": _queries(name, comparison, texts, comparison.largest(top, 1)),
            "worst": _queries(name, comparison, texts, comparison.largest(top, -1)),
        }
        for name, comparison in found.items()
    }
    return {"metric": metric, "subsets": subsets, "macro": _macro(found)}


def _macro(found: "Mapping[str, RunComparison]") -> dict[str, float]:
    """The mean over subsets of their means, each subset counting once."""
    a = sum(comparison.mean_a for comparison in found.values()) / len(found)
    b = sum(comparison.mean_b for comparison in found.values()) / len(found)
    return {"a": a, "b": b, "difference": a - b}


def _queries(
    name: str, comparison: "RunComparison", texts: Texts, ids: list[str]
) -> list[dict[str, Any]]:
    rows = []
    for query in ids:
        row: dict[str, Any] = {"_id": query, "a": comparison.a[query], "b": comparison.b[query]}
        if name == MAIN:  # another subset may have another query of the same id
            row["query"] = texts.queries.get(query)
            row["thought_a"] = texts.thoughts_a.get(query)
            row["thought_b"] = texts.thoughts_b.get(query)
        rows.append(row)
    return rows


def _show(found: "Mapping[str, RunComparison]", metric: str) -> None:
    several = len(found) > 1
    width = max(map(len, found))
    for name, row in found.items():
        gap, wins = row.difference, row.wins
        p = f"p {row.p:.5f}" + (f" (Holm {row.holm:.5f})" if several else "")
        print_text(
            f"{name:<{width}}  A {row.mean_a:.4f}  B {row.mean_b:.4f}  A - B {gap.mean:+.4f} "
            f"({gap.low:+.4f} to {gap.high:+.4f})  {p}  {wins.wins}/{wins.ties}/{wins.losses}"
        )
    if several:
        mean = _macro(found)
        print_text(
            f"mean of {len(found)} subsets: A {mean['a']:.4f}, B {mean['b']:.4f}, "
            f"A - B {mean['difference']:+.4f}"
        )
    queries = sum(len(row.a) for row in found.values())
    print_text(
        f"{metric}, {queries} queries; in brackets the 95% interval; p: two-sided paired "
        "randomisation test; wins/ties/losses of A"
    )


def _show_queries(name: str, comparison: "RunComparison", texts: Texts, top: int) -> None:
    for title, sign in (("A is better", 1), ("B is better", -1)):
        rows = _queries(name, comparison, texts, comparison.largest(top, sign))
        if rows:
            print_text(f"\n{name}: {title}")
        for row in rows:
            question = plain(row.get("query") or "")
            print_text(f"  {row['a']:.3f} {row['b']:.3f}  {plain(row['_id'])}  {question}".rstrip())
            for label in ("a", "b"):
                if thought := row.get(f"thought_{label}"):
                    print_text(f"      thought {label.upper()}: {plain(thought)}")
