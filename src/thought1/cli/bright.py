"""`t1 bright`: how well a model answers BRIGHT, by four protocols side by side.

Neither rankings nor metrics are computed here (`thought1.evaluation.bright`):

    t1 bright xlangai/BRIGHT --subset biology --cache vectors --json
    t1 bright xlangai/BRIGHT --system bm25-query
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thought1.cli.console import note, print_json, print_text, progress
from thought1.cli.evaluate_options import NoResults, Price, Results, SystemSpec
from thought1.cli.models import default_name, quiet_libraries
from thought1.cli.options import (
    Budget,
    BundledModel,
    Json,
    NoThink,
    TrustRemoteCode,
    option,
    thought_budget,
)

if TYPE_CHECKING:
    from thought1.evaluation.bright.scores import BrightResult, SubsetScores


Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A hub id (xlangai/BRIGHT), or a folder with documents/SUBSET-*.parquet, "
        "examples/SUBSET-*.parquet and so on.",
    ),
]
Subsets = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Only this subset; may be repeated. By default all."),
]
Long = Annotated[bool, typer.Option("--long", help="Long documents: 8 subsets, Recall@1.")]
QuerySet = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="The query set: examples are the original queries; gpt4_reason and similar ones are "
        "rewritten ones, another track.",
    ),
]
Instruction = Annotated[
    str,
    typer.Option(
        metavar="official|generic|mteb|TEXT", help="The instruction of the queries (t1 only)."
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Cache document vectors here, and reuse those that are valid (t1 only)."
    ),
]
RunFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write each ranking here, SUBSET.run in TREC format."),
]


def bright(
    source: Source,
    *,
    subset: Subsets = None,
    long: Long = False,
    queries: QuerySet = "examples",
    system: SystemSpec = "t1",
    model: BundledModel = None,
    trust_remote_code: TrustRemoteCode = False,
    think: Budget = None,
    no_think: NoThink = False,
    instruction: Instruction = "official",
    cache: Cache = None,
    run_dir: RunFolder = None,
    results: Results = Path("results"),
    no_results: NoResults = False,
    price: Price = None,
    as_json: Json = False,
) -> None:
    """Measure BRIGHT: exact search, 1000 documents for each query, thinking greedily."""
    from thought1.data.bright import LONG, SHORT
    from thought1.evaluation.bright.request import BrightRequest
    from thought1.evaluation.bright.run import BrightOutputs, check_bright, run_bright

    request = BrightRequest(
        source,
        queries,
        system=system,
        think=thought_budget(think, no_think),
        model=model,
        long=long,
        instruction=instruction,
    )
    check_bright(request, cache, option)
    names = tuple(dict.fromkeys(subset)) if subset else LONG if long else SHORT
    outputs = BrightOutputs(None if no_results else results, run_dir, cache, price)
    quiet_libraries()
    report = run_bright(
        request,
        names,
        outputs,
        choose=default_name,
        trust_remote_code=trust_remote_code,
        bars=progress,
    )
    if as_json:
        print_json(report.to_json())
        return
    _show(report.scores)
    for path in report.paths.values():
        note(f"result: {path}")


def _show(result: "BrightResult") -> None:
    from rich.console import Console
    from rich.table import Table

    from thought1.evaluation.bright.protocols import PROTOCOLS

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for measure in ("ndcg@10", "recall@1") if result.long else ("ndcg@10",):
        table = Table(box=None, pad_edge=False)
        table.add_column(f"{measure} x 100")
        for protocol in PROTOCOLS:
            table.add_column(protocol.name, justify="right")
        for name, scores in result.subsets.items():
            means = [scores.evaluations[p.name].metrics[measure] for p in PROTOCOLS]
            table.add_row(name, *(f"{100 * mean:.1f}" for mean in means))
        means = [result.average(p.name, measure) for p in PROTOCOLS]
        number = "all" if result.complete else "these"
        title = f"average of {number} {len(result.subsets)}"
        table.add_row(title, *(f"{100 * mean:.1f}" for mean in means))
        console.print(table)
    print_text(f"{'long' if result.long else 'short'} documents, {result.track}")
    for protocol in PROTOCOLS:
        print_text(f"{protocol.name}: {protocol.difference}")
    for scores in result.subsets.values():
        _remark(scores)


def _remark(scores: "SubsetScores") -> None:
    """What a reader must know before the figures of this subset are quoted."""
    if scores.missing_excluded:
        note(
            f"{scores.subset}: {scores.missing_excluded} excluded ids are not among the documents "
            "and exclude nothing; the official code would stop: are the ids of another version?"
        )
    if scores.without_gold:
        note(f"{scores.subset}: {scores.without_gold} queries have no gold document: not counted")
    if scores.num_short:
        note(f"{scores.subset}: {scores.num_short} rankings are shorter than they could be")
